-- As cold_thaw, of samples that are distributions: `ends` and `lengths` say where in `bins` each one's sketch is.
insert into raw_samples (at, series_id, value, sample_count, min_value, max_value, sketch)
select instant(cold.at_us), cold.series_id, cold.value, cold.sample_count, cold.min_value, cold.max_value,
       (%(bins)s::int8[])[cold.past - cold.length + 1 : cold.past]
from unnest(%(series_ids)s::int4[], %(at_us)s::int8[], %(values)s::float8[], %(counts)s::int8[], %(lows)s::float8[],
            %(highs)s::float8[], %(ends)s::int8[], %(lengths)s::int8[])
  as cold (series_id, at_us, value, sample_count, min_value, max_value, past, length)
where not exists (
  select from raw_samples hot
  where hot.series_id = cold.series_id and hot.at = instant(cold.at_us)
    and hot.at between %(since)s::timestamptz and %(until)s::timestamptz)
