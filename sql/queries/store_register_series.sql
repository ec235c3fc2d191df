-- Register many series at once, with the row that writers lock; one that somebody else registers meanwhile is left out.
with registered as (
  insert into series (fingerprint, metric_name, tags, source_agent_id, instance_id)
  select fingerprint, metric_name, tags::jsonb, source_agent_id, instance_id
  from unnest(%(fingerprints)s::uuid[], %(metrics)s::text[], %(tags)s::text[], %(agents)s::text[], %(instances)s::text[])
    as incoming (fingerprint, metric_name, tags, source_agent_id, instance_id)
  order by fingerprint
  on conflict (fingerprint) do nothing
  returning series_id, fingerprint
), locked as (
  insert into latest_samples (series_id) select series_id from registered
)
select fingerprint, series_id from registered
