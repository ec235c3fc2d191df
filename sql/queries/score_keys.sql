-- Who these scored series are.
select scored_id, metric_name, tags, source_agent_id, instance_id
from scored_series where scored_id = any(%(scored_ids)s::int4[])
order by scored_id
