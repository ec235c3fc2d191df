-- How rules did since the last time, added to their hour; after an outage many times at once.
insert into alert_evaluations as kept (rule, hour, evaluations, instances, fired, resolved, seconds)
select rule, date_trunc('hour', instant(at_us), 'UTC'), sum(evaluations), max(instances), sum(fired), sum(resolved),
       sum(seconds)
from jsonb_to_recordset(%(counts)s::jsonb) as given (
  rule text, at_us int8, evaluations int8, instances int8, fired int8, resolved int8, seconds float8)
group by 1, 2
on conflict (rule, hour) do update set evaluations = kept.evaluations + excluded.evaluations,
  instances = greatest(kept.instances, excluded.instances), fired = kept.fired + excluded.fired,
  resolved = kept.resolved + excluded.resolved, seconds = kept.seconds + excluded.seconds
