-- The values of one label of a metric, to fill a filter with.
select distinct value collate "C" as value
from series s,
  lateral (
    select case %(name)s::text
      when 'source_agent_id' then s.source_agent_id
      when 'instance_id' then s.instance_id
      else s.tags ->> %(name)s::text
    end as value
  ) named
where s.metric_name = %(metric)s and value is not null
order by 1
limit %(limit)s
