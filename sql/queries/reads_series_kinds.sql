-- How some series are compared across the fleet: 1, and 2 for the platform's own, which are judged by its health, 4 for
-- a counter, 8 for a percentage.
select array_send(array_agg(series_id)) as series,
       array_send(array_agg(1 + 2 * starts_with(metric_name, 'muninn_')::int4 + 4 * (right(metric_name, 6) = '_total')::int4
                            + 8 * (right(metric_name, 4) = '_pct')::int4)) as kind
from series where series_id = any(%(series)s::int4[])
