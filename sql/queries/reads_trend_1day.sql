-- A trend from metrics_1day's rows, up to this second: buckets as arrays, merged into steps by the reader.
select series_id,
  array_send(array_agg(bucket order by bucket)) as at,
  array_send(array_agg(sample_count order by bucket)) as sample_count,
  array_send(array_agg(sum_value order by bucket)) as sum_value,
  array_send(array_agg(min_value order by bucket)) as min_value,
  array_send(array_agg(max_value order by bucket)) as max_value,
  array_send(array_agg(cardinality(sketch)::int8 order by bucket)) as sketch_length,
  string_agg(array_send(sketch), '' order by bucket) as sketch
from live_1day
where series_id = any(%(series)s) and bucket >= %(since)s and bucket < %(until)s
group by series_id
