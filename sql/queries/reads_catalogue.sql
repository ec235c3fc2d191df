-- What can be asked for: every metric with its label names, number of series and newest sample.
with labels as (
  select s.metric_name, array_agg(distinct label order by label) as label_names
  from series s, jsonb_object_keys(s.tags) label
  group by s.metric_name
), metrics as (
  select s.metric_name, count(*) as series_count, max(l.at) as last_seen
  from series s
  join latest_samples l using (series_id)
  group by s.metric_name
)
select m.metric_name, coalesce(label_names, '{}') as label_names, series_count, last_seen
from metrics m
left join labels using (metric_name)
order by m.metric_name collate "C"
