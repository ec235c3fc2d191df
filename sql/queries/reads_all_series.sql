-- Every series that sent something since an instant, but for the platform's own, which are judged by its health.
select s.series_id, s.metric_name, s.tags, s.source_agent_id, s.instance_id
from series s
join latest_samples l using (series_id)
where l.at >= %(since)s and not starts_with(s.metric_name, 'muninn_')
order by s.series_id
limit %(max_series)s
