-- Which series a trend or a live chart is about: the first by key, with the number of all that match;
-- series that fell silent before the window take no place.
select s.series_id, s.tags, s.source_agent_id, s.instance_id, count(*) over () as matching
from series s
join latest_samples l using (series_id)
where s.metric_name = %(metric)s
  and l.at >= %(since)s
  and s.tags @> %(tags)s::jsonb
  and (%(source_agent_id)s::text is null or s.source_agent_id = %(source_agent_id)s::text)
  and (%(instance_id)s::text is null or s.instance_id = %(instance_id)s::text)
order by s.tags::text collate "C", s.source_agent_id collate "C", s.instance_id collate "C"
limit %(max_series)s
