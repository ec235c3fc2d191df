-- What receivers know from now on.
insert into alert_groups (group_key, receiver, alerts, first_at, told_at, told_count)
select group_key, receiver, alerts, instant(first_us), instant(nullif(told_us, 0)), told_count
from jsonb_to_recordset(%(groups)s::jsonb) as given (
  group_key text, receiver text, alerts jsonb, first_us int8, told_us int8, told_count int4)
on conflict (group_key, receiver) do update set
  alerts = excluded.alerts, first_at = excluded.first_at, told_at = excluded.told_at, told_count = excluded.told_count
