-- The newest sample of a metric's series: silent ones first, each part in order of the keys.
select s.tags, s.source_agent_id, s.instance_id, epoch_us(l.at) / 1000 as at_ms, l.value,
  l.at < %(silent_before)s as silent, count(*) over () as matching,
  count(*) filter (where l.at < %(silent_before)s) over () as silent_count
from series s
join latest_samples l using (series_id)
where s.metric_name = %(metric)s
  and l.at >= %(since)s and l.at < %(until)s
  and s.tags @> %(tags)s::jsonb
  and (%(source_agent_id)s::text is null or s.source_agent_id = %(source_agent_id)s::text)
  and (%(instance_id)s::text is null or s.instance_id = %(instance_id)s::text)
order by silent desc, s.tags::text collate "C", s.source_agent_id collate "C", s.instance_id collate "C"
limit %(max_series)s
