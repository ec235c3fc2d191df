-- The keys of some series, by metric and in the order of keys within it.
select series_id, metric_name, tags, source_agent_id, instance_id
from series
where series_id = any(%(series)s::int4[])
order by metric_name collate "C", tags::text collate "C", source_agent_id collate "C", instance_id collate "C"
