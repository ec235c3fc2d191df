-- How many series of each metric and of each source were first seen since an instant.
select 'metric' as kind, metric_name as name, count(*)::int8 as series from series where created_at >= %(since)s group by metric_name
union all
select 'source', source_agent_id, count(*)::int8 from series where created_at >= %(since)s group by source_agent_id
