-- The raw samples of some series that are in the database, as cold_read_raw gives them: sketches of distributions too.
select series_id, array_send(array_agg(at order by at)) as at, array_send(array_agg(value order by at)) as value,
       case when count(sketch) > 0 then array_send(array_agg(coalesce(cardinality(sketch), 0)::int8 order by at)) end
         as lengths,
       array_send(array_agg(sample_count order by at) filter (where sketch is not null)) as sample_count,
       array_send(array_agg(min_value order by at) filter (where sketch is not null)) as min_value,
       array_send(array_agg(max_value order by at) filter (where sketch is not null)) as max_value,
       string_agg(array_send(sketch), '' order by at) as sketch
from raw_samples
where series_id = any(%(series)s) and at >= %(since)s and at < %(until)s
group by series_id
