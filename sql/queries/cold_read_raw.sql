-- The raw samples of a day that are in the database, an array a series, in order of metric group and series. lengths:
-- of each sample's sketch (0: it is none); null where no sample is a distribution, and so are the arrays after it.
select cold_group(series.metric_name) as metric_group, series_id, of_series.at, of_series.value, of_series.lengths,
       of_series.sample_count, of_series.min_value, of_series.max_value, of_series.sketch
from (
  select series_id, array_send(array_agg(at order by at)) as at, array_send(array_agg(value order by at)) as value,
         case when count(sketch) > 0 then array_send(array_agg(coalesce(cardinality(sketch), 0)::int8 order by at)) end
           as lengths,
         array_send(array_agg(sample_count order by at) filter (where sketch is not null)) as sample_count,
         array_send(array_agg(min_value order by at) filter (where sketch is not null)) as min_value,
         array_send(array_agg(max_value order by at) filter (where sketch is not null)) as max_value,
         string_agg(array_send(sketch), '' order by at) as sketch
  from raw_samples
  where at >= instant(%(since_us)s::int8) and at < instant(%(until_us)s::int8)
  group by series_id
) of_series
join series using (series_id)
order by 1, 2
