-- Notifications that are due: the same news twice is one.
insert into notifications (notification_key, receiver, group_key, group_labels, why, alerts, created_at, next_at)
select notification_key, receiver, group_key, group_labels, why, alerts, instant(created_us), instant(created_us)
from jsonb_to_recordset(%(notifications)s::jsonb) as given (
  notification_key text, receiver text, group_key text, group_labels jsonb, why text, alerts jsonb, created_us int8)
on conflict (notification_key) do nothing
