-- Which samples of a stretch of time are in already: their places in the list, and whether the value is the same;
-- a distribution is never the same.
select array_send(array_agg(incoming.place::int4)) as places,
       array_send(array_agg((raw.value = incoming.value and raw.sketch is null)::int4)) as same
from unnest(%(series_ids)s::int4[], %(at_us)s::int8[], %(values)s::float8[])
  with ordinality as incoming (series_id, at_us, value, place)
join raw_samples raw on raw.series_id = incoming.series_id and raw.at = instant(incoming.at_us)
where raw.at between %(since)s::timestamptz and %(until)s::timestamptz
