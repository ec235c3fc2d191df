-- Incidents that were open at some time in a window, with the identities of their series, as alert rules look at them.
select
  incident_id::text, epoch_us(opened_at) as opened_us, epoch_us(closed_at) as closed_us, title, score, series_count,
  causes, members, coalesce(head_key, members -> 0) as head
from incidents
cross join lateral (
  select
    jsonb_agg(jsonb_build_array(metric_name, tags, source_agent_id, instance_id) order by opened_at, fingerprint)
      as members,
    (jsonb_agg(jsonb_build_array(metric_name, tags, source_agent_id, instance_id)) filter (where fingerprint = head))
      -> 0 as head_key
  from incident_series where incident_series.incident_id = incidents.incident_id
) as series
where opened_at < instant(%(until_us)s)
  and (closed_at is null or closed_at >= instant(%(since_us)s))
  and members is not null
order by opened_at, incident_id
