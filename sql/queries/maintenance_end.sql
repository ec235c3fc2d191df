-- End a maintenance window; who did it is kept.
update maintenance_windows set ended_at = now(), ended_by = %(by)s where name = %(name)s and ended_at is null
