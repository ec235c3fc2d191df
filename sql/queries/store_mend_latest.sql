-- Note the newest samples that a writer loaded and could not note before it died; the last hour of what it loaded.
update latest_samples latest
set at = newest.at, value = newest.value
from (
  select distinct on (series_id) series_id, at, value
  from raw_samples
  where at between instant(%(until_us)s::int8) - interval '1 hour' and instant(%(until_us)s::int8)
  order by series_id, at desc
) newest
where latest.series_id = newest.series_id
  and (latest.at is null or latest.at < newest.at or (latest.at = newest.at and latest.value <> newest.value))
