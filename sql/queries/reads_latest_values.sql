-- The newest samples of the series of some metrics, as arrays.
select edition, series, at, value
from read_latest(%(metrics)s::text[], %(tags)s::jsonb, %(source_agent_id)s::text, %(instance_id)s::text, %(since)s,
                 %(until)s)
