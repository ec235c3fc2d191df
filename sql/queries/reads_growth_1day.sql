-- What growth of counters is made of, from metrics_1day's rows, up to this second: single samples only.
select series_id,
  array_send(array_agg(bucket order by bucket)) as at,
  array_send(array_agg(first_at order by bucket)) as first_at,
  array_send(array_agg(last_at order by bucket)) as last_at,
  array_send(array_agg(first_value order by bucket)) as first_value,
  array_send(array_agg(last_value order by bucket)) as last_value,
  array_send(array_agg(increase order by bucket)) as increase
from live_1day
where series_id = any(%(series)s) and bucket >= %(since)s and bucket < %(until)s and first_value is not null
group by series_id
