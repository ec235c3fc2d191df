-- Register many series at once, each with the row that writers lock. `keys` is a JSON array of canonical keys in the
-- order of the fingerprints; what somebody else registers meanwhile is left out.
with registered as (
  insert into series (fingerprint, metric_name, tags, source_agent_id, instance_id)
  select fingerprint, key ->> 0, (key -> 1)::jsonb, key ->> 2, key ->> 3
  from rows from (unnest(%(fingerprints)s::uuid[]), json_array_elements(%(keys)s::json)) as given (fingerprint, key)
  order by fingerprint
  on conflict (fingerprint) do nothing
  returning series_id
)
insert into latest_samples (series_id) select series_id from registered
