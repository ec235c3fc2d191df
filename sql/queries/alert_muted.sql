-- Why open alerts are not told now; those that are not named are.
update alerts a set muted_by = given.muted_by, muted_which = given.muted_which, muted_until = instant(given.until_us)
from (
  select open.alert_id, coalesce(m.muted_by, '') as muted_by, coalesce(m.muted_which, '') as muted_which, m.until_us
  from alerts open
  left join jsonb_to_recordset(%(muted)s::jsonb) as m (alert_id uuid, muted_by text, muted_which text, until_us int8)
    on m.alert_id = open.alert_id
  where open.state <> 'resolved'
) given
where a.alert_id = given.alert_id
  and (a.muted_by, a.muted_which, a.muted_until) is distinct from
      (given.muted_by, given.muted_which, instant(given.until_us))
