-- Metrics by series, with how many are new since two instants.
select metric_name as name, count(*)::int8 as series,
       count(*) filter (where created_at >= %(hour)s)::int8 as new_hour,
       count(*) filter (where created_at >= %(day)s)::int8 as new_day
from series group by metric_name order by series desc, name limit %(limit)s
