-- The newest instant of each of these series as far as it was noted, and whose it is, as arrays in order of id.
select array_send(array_agg(series_id order by series_id)) as series_ids,
       array_send(array_agg(coalesce(epoch_us(at), -9223372036854775808) order by series_id)) as at_us,
       array_send(array_agg(fingerprint order by series_id)) as fingerprints
from latest_samples join series using (series_id)
where series_id = any(%(series_ids)s::int4[])
