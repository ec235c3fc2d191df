-- A rule made or changed through the API.
insert into alert_rules (name, body, changed_by) values (%(name)s, %(body)s::jsonb, %(changed_by)s)
on conflict (name) do update set body = excluded.body, changed_by = excluded.changed_by, changed_at = now()
