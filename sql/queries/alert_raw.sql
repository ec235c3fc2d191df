-- Raw samples of the metrics that rules look at: each series as arrays.
select metric_name, tags, source_agent_id, instance_id, array_send(array_agg(at order by at)) as at,
       array_send(array_agg(value order by at)) as value
from raw_samples join series using (series_id)
where metric_name = any(%(metrics)s) and at >= %(since)s and at < %(until)s
group by series.series_id
