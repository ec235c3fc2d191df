-- Which series of several metrics a question is about, the first of each by key, with the number of all that match.
select series_id, metric_name, tags, source_agent_id, instance_id, matching
from (
  select s.series_id, s.metric_name, s.tags, s.source_agent_id, s.instance_id,
    count(*) over (partition by s.metric_name) as matching,
    row_number() over (partition by s.metric_name order by s.tags::text collate "C", s.source_agent_id collate "C",
                       s.instance_id collate "C") as place
  from series s
  join latest_samples l using (series_id)
  where s.metric_name = any(%(metrics)s::text[])
    and l.at >= %(since)s
    and s.tags @> %(tags)s::jsonb
    and (%(source_agent_id)s::text is null or s.source_agent_id = %(source_agent_id)s::text)
    and (%(instance_id)s::text is null or s.instance_id = %(instance_id)s::text)
) placed
where place <= %(max_series)s
order by metric_name, place
