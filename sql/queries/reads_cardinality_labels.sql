-- Labels by distinct values among the youngest series (of one metric, or of all), with the metric that has most of them.
with young as (
  select metric_name, tags, source_agent_id, instance_id from series
  where %(metric)s::text is null or metric_name = %(metric)s
  order by series_id desc limit %(sample)s
), pairs as (
  select metric_name, label.key as name, label.value from young, jsonb_each_text(tags) as label
  union all
  select metric_name, 'source_agent_id', source_agent_id from young where source_agent_id <> ''
  union all
  select metric_name, 'instance_id', instance_id from young where instance_id <> ''
), by_metric as (
  select name, metric_name, count(distinct value)::int8 as in_metric, count(*)::int8 as in_series
  from pairs group by name, metric_name
), by_label as (
  select name, count(distinct value)::int8 as distinct_values from pairs group by name
)
select name, distinct_values, sum(in_series)::int8 as series,
       (array_agg(metric_name order by in_metric desc, metric_name))[1] as metric_name, max(in_metric) as in_metric
from by_metric join by_label using (name)
group by name, distinct_values order by distinct_values desc, name limit %(limit)s
