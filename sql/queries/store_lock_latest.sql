-- Lock the series of a load in one order (no deadlock) and read their latest instants.
select series_id, epoch_us(at) as at_us
from latest_samples
where series_id = any(%(series_ids)s::int4[])
order by series_id
for no key update
