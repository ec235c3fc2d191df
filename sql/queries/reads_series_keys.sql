-- The keys of a few series.
select series_id, metric_name, tags, source_agent_id, instance_id from series where series_id = any(%(series)s::int4[])
