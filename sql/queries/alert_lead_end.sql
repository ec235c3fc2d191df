-- Give the lead away, so that nobody has to wait for it.
update alert_leader set until = '-infinity' where term = %(term)s and leader = %(leader)s
