-- Every metric name, to tell an unknown one from one without matching series: skips through the index
-- from name to name instead of reading every series.
with recursive names (metric_name) as (
  (select metric_name from series order by metric_name limit 1)
  union all
  select (select s.metric_name from series s where s.metric_name > n.metric_name order by s.metric_name limit 1)
  from names n
  where n.metric_name is not null
)
select metric_name from names where metric_name is not null
