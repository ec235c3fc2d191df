-- A new maintenance window.
insert into maintenance_windows (name, body, created_by) values (%(name)s, %(body)s::jsonb, %(by)s)
