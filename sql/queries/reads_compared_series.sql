-- The series that are compared across the fleet, in order of their ids, and which of them are counters and percentages:
-- the platform's own are judged by its health.
select array_send(array_agg(series_id order by series_id)) as series,
       array_send(array_agg((right(metric_name, 6) = '_total')::int4 order by series_id)) as rising,
       array_send(array_agg((right(metric_name, 4) = '_pct')::int4 order by series_id)) as percentage
from series join latest_samples using (series_id)
where at >= %(since)s and not starts_with(metric_name, 'muninn_')
