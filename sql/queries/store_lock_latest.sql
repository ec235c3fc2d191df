-- Lock the series of a load in one order (no deadlock) and read their latest instants, as arrays in that order.
select array_send(array_agg(series_id order by series_id)) as series_ids,
       array_send(array_agg(coalesce(epoch_us(at), -9223372036854775808) order by series_id)) as at_us
from (
  select series_id, at from latest_samples where series_id = any(%(series_ids)s::int4[])
  order by series_id for no key update
) locked
