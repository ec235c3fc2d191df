-- A trend straight from samples, for steps under a minute; the quantile is exact, where no sample is a distribution.
select series_id,
  array_send(array_agg(step order by step)) as at,
  array_send(array_agg(sample_count order by step)) as sample_count,
  array_send(array_agg(sum_value order by step)) as sum_value,
  array_send(array_agg(min_value order by step)) as min_value,
  array_send(array_agg(max_value order by step)) as max_value,
  array_send(array_agg(p95_value order by step)) as p95_value
from (
  select series_id, date_bin(%(step)s, at, 'epoch') as step,
    count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
    sum(value * coalesce(sample_count, 1)) as sum_value, min(coalesce(min_value, value)) as min_value,
    max(coalesce(max_value, value)) as max_value,
    case when count(sketch) = 0 then percentile_disc(0.95) within group (order by value)
         else sketch_quantile(sketch_with(array_agg(value order by value) filter (where sketch is null),
                                          sketch_cat(sketch)), 0.95,
                              min(coalesce(min_value, value)), max(coalesce(max_value, value))) end as p95_value
  from raw_samples
  where series_id = any(%(series)s) and at >= %(since)s and at < %(until)s
  group by 1, 2
) steps
group by series_id
