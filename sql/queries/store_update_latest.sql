-- The newest sample of each series of a load, where it is not older than the one that is there; or, strictly, newer.
update latest_samples latest
set at = instant(newest.at_us), value = newest.value
from unnest(%(series_ids)s::int4[], %(at_us)s::int8[], %(values)s::float8[]) as newest (series_id, at_us, value)
where latest.series_id = newest.series_id
  and (latest.at is null or latest.at < instant(newest.at_us)
       or (latest.at = instant(newest.at_us) and not %(strictly)s::bool))
