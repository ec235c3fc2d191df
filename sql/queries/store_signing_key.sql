-- The key of a purpose, if there is one.
select key from access_keys where purpose = %(purpose)s
