-- Put samples of files back into the database, where it has no newer ones of the same series and instant.
insert into raw_samples (at, series_id, value)
select instant(cold.at_us), cold.series_id, cold.value
from unnest(%(series_ids)s::int4[], %(at_us)s::int8[], %(values)s::float8[]) as cold (series_id, at_us, value)
where not exists (
  select from raw_samples hot
  where hot.series_id = cold.series_id and hot.at = instant(cold.at_us)
    and hot.at between %(since)s::timestamptz and %(until)s::timestamptz)
