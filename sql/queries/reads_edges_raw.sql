-- Single samples of some hours, each as a bucket: for zones whose clock is not off by whole minutes.
select 1 as piece, (-9e18)::int8 as from_us,
  array_send(array_agg(series_id order by series_id, at)) as series, null::bytea as bytes_each,
  string_agg(packed_point(at, coalesce(sample_count, 1), value * coalesce(sample_count, 1), coalesce(min_value, value),
                          coalesce(max_value, value), 'NaN'), '' order by series_id, at) as points,
  array_send(array_agg(coalesce(cardinality(sketch), 1)::int8 order by series_id, at)) as sketch_length,
  string_agg(array_send(coalesce(sketch, array[sketch_key(value) * 4294967296 + 1])), '' order by series_id, at)
    as sketch
from unnest(%(hours)s::timestamptz[]) as cut (hour)
join raw_samples on at >= hour and at < hour + interval '1 hour'
where series_id = any(%(series)s::int4[])
having count(*) > 0
