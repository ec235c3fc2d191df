-- A rule made through the API is gone; one in a file of the same name comes back.
delete from alert_rules where name = %(name)s
