-- The metric groups that some series are filed under.
select distinct cold_group(metric_name) as metric_group from series where series_id = any(%(series)s::int4[])
