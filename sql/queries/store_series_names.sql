-- Who many fingerprints are: their places in the list with the parts of their keys.
select place::int4 as place, metric_name, tags, source_agent_id, instance_id
from unnest(%(fingerprints)s::uuid[]) with ordinality as wanted (fingerprint, place)
join series using (fingerprint)
