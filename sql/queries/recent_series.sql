-- The fingerprints of series.
select array_send(array_agg(series_id)) as series_id, array_send(array_agg(fingerprint)) as fingerprint
from series
where series_id = any(%(series_ids)s::int4[])
