-- Growth of counters as reads want it: packed where it can be, like points.

-- What growth of some series is made of, over pieces of time, each a resolution and a window of whole buckets, up to
-- this second; as read_points() gives points, but of packed_growth() each, in any order. Distributions have none.
drop function if exists read_growth(int4[], text[], timestamptz[], timestamptz[]);
create function read_growth(ids int4[], resolutions text[], sinces timestamptz[], untils timestamptz[])
returns table (piece int4, from_us int8, series bytea, bytes_each bytea, points bytea)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  start timestamptz;
  stop timestamptz;
  until timestamptz;
  slice int;
  -- By level: 1 is a minute, 4 is a day.
  marks timestamptz[];
  packed timestamptz[];
  level int;
begin
  select array_agg(watermark order by width), array_agg(coalesce(packed_until, 'epoch') order by width)
    into marks, packed
    from rollup_state state left join packed_state using (resolution);
  for place in 1 .. coalesce(cardinality(resolutions), 0) loop
    level := array_position(array['1min', '5min', '1hour', '1day'], resolutions[place]);
    start := sinces[place];
    until := untils[place];
    if level = 4 then
      if start < least(until, marks[4]) then
        stop := least(until, marks[4]);
        return query
          select place, epoch_us(start), array_send(array_agg(series_id)), null::bytea,
                 string_agg(packed_growth(bucket, first_at, last_at, first_value, last_value, increase), '')
          from rollup_1day
          where series_id = any(ids) and bucket >= start and bucket < stop and first_value is not null
          having count(*) > 0;
        start := stop;
      end if;
    end if;
    if level >= 3 then
      if start < least(until, packed[3]) then
        stop := least(until, packed[3]);
        slice := points_slice(stop - start + '24 hours', '1 hour', false);
        return query
          select place, epoch_us(start), found.*
          from generate_series(1, cardinality(ids), slice) first, lateral (
            select array_send(array_agg(series_id order by series_id, since)),
                   array_send(array_agg(length(points) order by series_id, since)),
                   string_agg(points, '' order by series_id, since) as points
            from packed_growth_1hour
            where series_id = any(ids[first : first + slice - 1]) and since > start - interval '24 hours' and since < stop
          ) found
          where found.points is not null;
        start := stop;
      end if;
      if start < least(until, marks[3]) then
        stop := least(until, marks[3]);
        return query
          select place, epoch_us(start), array_send(array_agg(series_id)), null::bytea,
                 string_agg(packed_growth(bucket, first_at, last_at, first_value, last_value, increase), '')
          from rollup_1hour
          where series_id = any(ids) and bucket >= start and bucket < stop and first_value is not null
          having count(*) > 0;
        start := stop;
      end if;
    end if;
    if level >= 2 then
      if start < least(until, packed[2]) then
        stop := least(until, packed[2]);
        slice := points_slice(stop - start + '3 hours', '5 minutes', false);
        return query
          select place, epoch_us(start), found.*
          from generate_series(1, cardinality(ids), slice) first, lateral (
            select array_send(array_agg(series_id order by series_id, since)),
                   array_send(array_agg(length(points) order by series_id, since)),
                   string_agg(points, '' order by series_id, since) as points
            from packed_growth_5min
            where series_id = any(ids[first : first + slice - 1]) and since > start - interval '3 hours' and since < stop
          ) found
          where found.points is not null;
        start := stop;
      end if;
      if start < least(until, marks[2]) then
        stop := least(until, marks[2]);
        return query
          select place, epoch_us(start), array_send(array_agg(series_id)), null::bytea,
                 string_agg(packed_growth(bucket, first_at, last_at, first_value, last_value, increase), '')
          from rollup_5min
          where series_id = any(ids) and bucket >= start and bucket < stop and first_value is not null
          having count(*) > 0;
        start := stop;
      end if;
    end if;
    if start < least(until, marks[1]) then
      stop := least(until, marks[1]);
      return query
        select place, epoch_us(start), array_send(array_agg(series_id)), null::bytea,
               string_agg(packed_growth(bucket, first_at, last_at, first_value, last_value, increase), '')
        from rollup_1min
        where series_id = any(ids) and bucket >= start and bucket < stop and first_value is not null
        having count(*) > 0;
      start := stop;
    end if;
    if start < until then
      return query
        with live as (
          select raw.series_id, date_bin('1 minute', at, 'epoch'::timestamptz) as bucket,
                 min(at) as first_at, max(at) as last_at, array_agg(value order by at) as samples
          from raw_samples raw
          where raw.series_id = any(ids) and at >= start and at < until and raw.sketch is null
          group by 1, 2
        )
        select place, epoch_us(start), array_send(array_agg(series_id)), null::bytea,
               string_agg(packed_growth(bucket, first_at, last_at, samples[1], samples[cardinality(samples)],
                                        counter_increase(samples)), '')
        from live having count(*) > 0;
    end if;
  end loop;
end $$;
