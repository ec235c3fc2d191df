-- The raw samples of a day that are in the database, an array a series, in order of metric group and series.
select cold_group(series.metric_name) as metric_group, series_id, of_series.at, of_series.value
from (
  select series_id, array_send(array_agg(at order by at)) as at, array_send(array_agg(value order by at)) as value
  from raw_samples
  where at >= instant(%(since_us)s::int8) and at < instant(%(until_us)s::int8)
  group by series_id
) of_series
join series using (series_id)
order by 1, 2
