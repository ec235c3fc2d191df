-- Buckets of metrics_1hour for rules that look far back: each series as arrays.
select metric_name, tags, source_agent_id, instance_id,
  array_send(array_agg(bucket order by bucket)) as at,
  array_send(array_agg(sample_count order by bucket)) as sample_count,
  array_send(array_agg(sum_value order by bucket)) as sum_value,
  array_send(array_agg(coalesce(first_value, min_value) order by bucket)) as first_value,
  array_send(array_agg(coalesce(last_value, max_value) order by bucket)) as last_value,
  array_send(array_agg(coalesce(increase, 0) order by bucket)) as increase
from live_1hour join series using (series_id)
where metric_name = any(%(metrics)s) and bucket >= %(since)s and bucket < %(until)s
group by series.series_id
