-- Pending alerts that came to nothing.
delete from alerts where alert_id = any(%(alert_ids)s::uuid[]) and fired_at is null
