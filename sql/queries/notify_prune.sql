-- The notify log and alerts of long ago.
with gone as (
  delete from notifications where state <> 'waiting' and created_at < %(before)s
), told as (
  delete from alert_groups where told_at < %(before)s and alerts = '{}'
)
delete from alerts where state = 'resolved' and resolved_at < %(before)s
