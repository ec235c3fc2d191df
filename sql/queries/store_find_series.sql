-- Which of many fingerprints are registered: their places in the list, and their series, as arrays.
select array_send(array_agg(place::int4)) as places, array_send(array_agg(series_id)) as series_ids
from unnest(%(fingerprints)s::uuid[]) with ordinality as wanted (fingerprint, place)
join series using (fingerprint)
