-- Whether this term is still the one that counts; it stays so until the transaction ends.
select term from alert_leader where term = %(term)s for share
