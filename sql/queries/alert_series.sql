-- Series of the metrics that rules look at: since when each is known, and when it was heard of last.
select metric_name, tags, source_agent_id, instance_id, epoch_us(created_at) as first_us, epoch_us(at) as last_us
from series join latest_samples using (series_id)
where metric_name = any(%(metrics)s) and at >= %(since)s
