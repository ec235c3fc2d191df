-- A trend straight from samples, for steps under a minute; the quantile is exact.
select series_id,
  array_send(array_agg(step order by step)) as at,
  array_send(array_agg(sample_count order by step)) as sample_count,
  array_send(array_agg(sum_value order by step)) as sum_value,
  array_send(array_agg(min_value order by step)) as min_value,
  array_send(array_agg(max_value order by step)) as max_value,
  array_send(array_agg(p95_value order by step)) as p95_value
from (
  select series_id, date_bin(%(step)s, at, 'epoch') as step,
    count(*) as sample_count, sum(value) as sum_value, min(value) as min_value, max(value) as max_value,
    percentile_disc(0.95) within group (order by value) as p95_value
  from raw_samples
  where series_id = any(%(series)s) and at >= %(since)s and at < %(until)s
  group by 1, 2
) steps
group by series_id
