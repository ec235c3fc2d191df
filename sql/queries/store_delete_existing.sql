-- Take out samples of a stretch of time whose value was replaced.
delete from raw_samples raw
using unnest(%(series_ids)s::int4[], %(at_us)s::int8[]) as replaced (series_id, at_us)
where raw.series_id = replaced.series_id and raw.at = instant(replaced.at_us)
  and raw.at between %(since)s::timestamptz and %(until)s::timestamptz
