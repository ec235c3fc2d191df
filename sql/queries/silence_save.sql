-- A silence, new or changed.
insert into silences (silence_id, matchers, starts_at, ends_at, created_by, comment)
values (%(silence_id)s, %(matchers)s::jsonb, instant(%(starts_us)s), instant(%(ends_us)s), %(created_by)s, %(comment)s)
on conflict (silence_id) do update set matchers = excluded.matchers, starts_at = excluded.starts_at,
  ends_at = excluded.ends_at, created_by = excluded.created_by, comment = excluded.comment
