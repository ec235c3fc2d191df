-- Packed buckets: made of rollup rows once they are refreshed, made anew when a late sample changes them, read
-- by read_points() together with what is not packed yet.

-- One bucket as eight-byte words, big-endian: bucket (microseconds since 2000), sample_count, sum_value, min_value,
-- max_value, p95. muninn/reads/points.py reads them.
create or replace function packed_point(
  bucket timestamptz, sample_count int8, sum_value float8, min_value float8, max_value float8, p95 float8
) returns bytea
language sql immutable parallel safe as
$$ select timestamptz_send(bucket) || int8send(sample_count) || float8send(sum_value) || float8send(min_value)
          || float8send(max_value) || float8send(p95) $$;

-- How a counter grew within one bucket, likewise: bucket, first_at, last_at, first_value, last_value, increase.
create or replace function packed_growth(
  bucket timestamptz, first_at timestamptz, last_at timestamptz, first_value float8, last_value float8, increase float8
) returns bytea
language sql immutable parallel safe as
$$ select timestamptz_send(bucket) || timestamptz_send(first_at) || timestamptz_send(last_at) || float8send(first_value)
          || float8send(last_value) || float8send(increase) $$;

-- Pack the buckets of one resolution over a window, of some series or (null) of all: what a row holds already stands
-- before them.
create or replace procedure packed_add(resolution text, since timestamptz, until timestamptz, series_ids int4[])
language plpgsql set work_mem = '64MB' as $$
declare
  span interval := (select state.span from packed_state state where state.resolution = packed_add.resolution);
  -- So that sorting stays in memory however long the window is.
  slice interval := greatest(span, interval '1 hour');
  start timestamptz := since;
  mine text := case when series_ids is null then '' else ' and series_id = any($3)' end;
  growth text := 'null as growth';
  growths text := '';
begin
  if to_regclass('packed_growth_' || resolution) is not null then
    growth := $sql$case when first_value is not null
                   then packed_growth(bucket, first_at, last_at, first_value, last_value, increase) end as growth$sql$;
    growths := format($sql$, growths as (
      insert into %I as packed
      select since, series_id, string_agg(growth, '' order by bucket) from buckets where growth is not null group by 1, 2
      on conflict (series_id, since) do update set points = packed.points || excluded.points
    )$sql$, 'packed_growth_' || resolution);
  end if;
  while start < until loop
    execute format($sql$
      with buckets as materialized (
        select date_bin(%1$L, bucket, 'epoch'::timestamptz) as since, series_id, bucket, sketch_packed(sketch) as words,
               packed_point(bucket, sample_count, sum_value, min_value, max_value,
                            sketch_quantile(sketch, 0.95, min_value, max_value)) as point,
               %6$s
        from %2$I where bucket >= $1 and bucket < $2 %3$s
      ), sketches as (
        insert into %5$I as packed
        select since, series_id, string_agg(int4send(length(words) / 4), '' order by bucket),
               string_agg(words, '' order by bucket)
        from buckets group by 1, 2
        on conflict (series_id, since) do update
        set lengths = packed.lengths || excluded.lengths, words = packed.words || excluded.words
      ) %7$s
      insert into %4$I as packed
      select since, series_id, string_agg(point, '' order by bucket) from buckets group by 1, 2
      on conflict (series_id, since) do update set points = packed.points || excluded.points$sql$,
      span, 'rollup_' || resolution, mine, 'packed_' || resolution, 'packed_sketches_' || resolution,
      growth, growths)
      using start, least(start + slice, until), series_ids;
    start := start + slice;
  end loop;
end $$;

-- Make the packed rows of one resolution anew, from the beginning of a span on.
create or replace procedure packed_fill(resolution text, since timestamptz, until timestamptz, series_ids int4[])
language plpgsql as $$
declare
  held text;
begin
  foreach held in array array['packed_', 'packed_sketches_', 'packed_growth_'] loop
    continue when to_regclass(held || resolution) is null;
    execute format('delete from %I where since >= $1 and since < $2', held || resolution)
      || case when series_ids is null then '' else ' and series_id = any($3)' end
      using since, until, series_ids;
  end loop;
  call packed_add(resolution, since, until, series_ids);
end $$;

-- Pack what ends at or before its watermark, a step at a time. A table without rows has nothing to pack before its
-- watermark.
create or replace procedure packed_extend()
language plpgsql as $$
declare
  one record;
  start timestamptz;
begin
  for one in
    select state.resolution, packed_until, date_bin(step, watermark, 'epoch'::timestamptz) as target, span
    from packed_state state join rollup_state using (resolution)
    where packed_until < date_bin(step, watermark, 'epoch'::timestamptz)
  loop
    start := one.packed_until;
    if start = 'epoch' then
      execute format('select date_bin(%L, min(bucket), ''epoch''::timestamptz) from %I',
                     one.span, 'rollup_' || one.resolution) into start;
    end if;
    call packed_add(one.resolution, coalesce(start, one.target), one.target, null);
    update packed_state set packed_until = one.target where resolution = one.resolution;
  end loop;
  call fleet_extend();
end $$;

-- Rollup rows of a window were computed anew: so are the packed rows that hold them.
create or replace procedure packed_renew(of_resolution text, since timestamptz, until timestamptz, series_ids int4[])
language plpgsql as $$
declare
  state record;
begin
  select span, date_bin(span, since, 'epoch'::timestamptz) as first,
         least(packed_until, date_bin(span, until - interval '1 microsecond', 'epoch'::timestamptz) + span) as last
    into state from packed_state where resolution = of_resolution;
  if found and state.first < state.last then
    call packed_fill(of_resolution, state.first, state.last, series_ids);
  end if;
  if of_resolution = '1min' then
    call fleet_renew(since, until, series_ids);
  end if;
end $$;

-- Retention took the rollup rows before an instant.
create or replace procedure packed_drop(rollup text, before timestamptz)
language plpgsql as $$
declare
  held text;
begin
  foreach held in array array['packed_', 'packed_sketches_', 'packed_growth_'] loop
    held := replace(rollup, 'rollup_', held);
    if held <> rollup and to_regclass(held) is not null then
      execute format('delete from %I where since < $1', held) using before;
    end if;
  end loop;
  if rollup = 'rollup_1min' then
    delete from fleet_minutes where bucket < before;
  end if;
end $$;

-- Of how many series points are read at once over so many buckets each: of as many as make some hundred kilobytes. A row
-- of several megabytes costs more to hand on than to make.
drop function if exists points_slice(text, timestamptz, timestamptz, text);
create or replace function points_slice(length interval, width interval, sketches bool) returns int
language sql immutable parallel safe as $$
  select greatest(1, least(1e6, case when sketches then 6000 else 5000 end * extract(epoch from width)
                                / greatest(1, extract(epoch from length))))::int
$$;

-- The points of some series over pieces of time, each a resolution and a window of whole buckets, up to this second.
-- Which series: those with these ids, or, where that is null, those that match; then the first row has piece 0 and in
-- `series` the ids of all that match, in order, one more than most_chosen() at the most, and where they are more than
-- `most` no points follow.
-- Of each piece (from 1) there may be several rows, each in order of series and time. Above its watermark a resolution
-- continues with finer buckets. Packed buckets come in whole spans: what begins before `from_us` or outside the window
-- does not count.
-- series: an id for each point. Where bytes_each is given, these are packed rows: an id for each stretch of so many
-- bytes of points; sketch_length and sketch, if any, are as packed_sketches_* keep them. Otherwise they are int8[] and
-- sketches as rollups have them, as array_send() gives them.
-- sketches: 'none': p95 of a bucket that is not packed is NaN. 'open': likewise, with the sketches of the buckets that
-- have no p95 or have to be merged. 'all': with all sketches.
-- Each statement is planned once a session, for any window: partitions that a window does not need are left out when it
-- runs, and all of them see one instant. Points and sketches are read by themselves, because joining two rows costs more
-- than reading both; and it is one function, because what goes from one to another is copied once more. Rollup rows are
-- read in a loop over series, not in a join with it: TimescaleDB's columnstore finds series by a parameter, and unpacks
-- all of them for a join.
drop function if exists read_points(text, int4[], timestamptz, timestamptz, text);
drop function if exists read_points(
  int4[], text[], jsonb, text, text, timestamptz, int, text[], timestamptz[], timestamptz[], text);
create function read_points(
  ids int4[], metrics text[], labels jsonb, agent text, instance text, alive_since timestamptz, most int,
  resolutions text[], sinces timestamptz[], untils timestamptz[], sketches text
) returns table (
  piece int4, edition int8, from_us int8, series bytea, bytes_each bytea, points bytea, sketch_length bytea, sketch bytea
)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  none bool := sketches = 'none';
  merged bool;
  start timestamptz;
  stop timestamptz;
  until timestamptz;
  slice int;
  part int4[];
  -- By level: 1 is a minute, 4 is a day.
  marks timestamptz[];
  packed timestamptz[];
  level int;
begin
  if ids is null then
    ids := array(
      select s.series_id
      from series s join latest_samples l using (series_id)
      where s.metric_name = any(metrics) and l.at >= alive_since and s.tags @> labels
        and (agent is null or s.source_agent_id = agent) and (instance is null or s.instance_id = instance)
      order by s.series_id
      limit most_chosen() + 1);
    return query select 0, series_edition(), null::int8, array_send(ids), null::bytea, null::bytea, null::bytea, null::bytea;
    if cardinality(ids) > most then
      return;
    end if;
  end if;
  if cardinality(ids) = 0 or cardinality(resolutions) = 0 then
    return;
  end if;
  select array_agg(watermark order by width), array_agg(coalesce(packed_until, 'epoch') order by width)
    into marks, packed
    from rollup_state state left join packed_state using (resolution);
  for place in 1 .. cardinality(resolutions) loop
    level := array_position(array['1min', '5min', '1hour', '1day'], resolutions[place]);
    start := sinces[place];
    until := untils[place];
    if level = 4 then
      if start < least(until, marks[4]) then
        stop := least(until, marks[4]);
        slice := points_slice(stop - start, '24 hours', not none);
        for begun in 1 .. cardinality(ids) by slice loop
          part := ids[begun : begun + slice - 1];
          return query
            select place, null::int8, epoch_us(start), array_send(array_agg(r.series_id order by series_id, bucket)),
                   null::bytea,
                   string_agg(packed_point(bucket, sample_count, sum_value, min_value, max_value, 'NaN'), ''
                              order by series_id, bucket),
                   array_send(array_agg(cardinality(r.sketch)::int8 order by series_id, bucket) filter (where not none)),
                   string_agg(array_send(r.sketch), '' order by series_id, bucket) filter (where not none)
            from rollup_1day r
            where r.series_id = any(part) and bucket >= start and bucket < stop
            having count(*) > 0;
        end loop;
        start := stop;
      end if;
    end if;
    if level >= 3 then
      if start < least(until, packed[3]) then
        stop := least(until, packed[3]);
        merged := not (none or (sketches = 'open' and level = 3));
        slice := points_slice(stop - start + '24 hours', '1 hour', merged);
        return query
          select place, null::int8, epoch_us(start), p.*, s.*
          from generate_series(1, cardinality(ids), slice) first, lateral (
            select array_send(array_agg(series_id order by series_id, since)),
                   array_send(array_agg(length(points) order by series_id, since)),
                   string_agg(points, '' order by series_id, since) as points
            from packed_1hour
            where series_id = any(ids[first : first + slice - 1]) and since > start - interval '24 hours' and since < stop
          ) p, lateral (
            select string_agg(lengths, '' order by series_id, since), string_agg(words, '' order by series_id, since)
            from packed_sketches_1hour
            where merged and series_id = any(ids[first : first + slice - 1])
              and since > start - interval '24 hours' and since < stop
          ) s
          where p.points is not null;
        start := stop;
      end if;
      if start < least(until, marks[3]) then
        stop := least(until, marks[3]);
        slice := points_slice(stop - start, '1 hour', not none);
        for begun in 1 .. cardinality(ids) by slice loop
          part := ids[begun : begun + slice - 1];
          return query
            select place, null::int8, epoch_us(start), array_send(array_agg(r.series_id order by series_id, bucket)),
                   null::bytea,
                   string_agg(packed_point(bucket, sample_count, sum_value, min_value, max_value, 'NaN'), ''
                              order by series_id, bucket),
                   array_send(array_agg(cardinality(r.sketch)::int8 order by series_id, bucket) filter (where not none)),
                   string_agg(array_send(r.sketch), '' order by series_id, bucket) filter (where not none)
            from rollup_1hour r
            where r.series_id = any(part) and bucket >= start and bucket < stop
            having count(*) > 0;
        end loop;
        start := stop;
      end if;
    end if;
    if level >= 2 then
      if start < least(until, packed[2]) then
        stop := least(until, packed[2]);
        merged := not (none or (sketches = 'open' and level = 2));
        slice := points_slice(stop - start + '3 hours', '5 minutes', merged);
        return query
          select place, null::int8, epoch_us(start), p.*, s.*
          from generate_series(1, cardinality(ids), slice) first, lateral (
            select array_send(array_agg(series_id order by series_id, since)),
                   array_send(array_agg(length(points) order by series_id, since)),
                   string_agg(points, '' order by series_id, since) as points
            from packed_5min
            where series_id = any(ids[first : first + slice - 1]) and since > start - interval '3 hours' and since < stop
          ) p, lateral (
            select string_agg(lengths, '' order by series_id, since), string_agg(words, '' order by series_id, since)
            from packed_sketches_5min
            where merged and series_id = any(ids[first : first + slice - 1])
              and since > start - interval '3 hours' and since < stop
          ) s
          where p.points is not null;
        start := stop;
      end if;
      if start < least(until, marks[2]) then
        stop := least(until, marks[2]);
        slice := points_slice(stop - start, '5 minutes', not none);
        for begun in 1 .. cardinality(ids) by slice loop
          part := ids[begun : begun + slice - 1];
          return query
            select place, null::int8, epoch_us(start), array_send(array_agg(r.series_id order by series_id, bucket)),
                   null::bytea,
                   string_agg(packed_point(bucket, sample_count, sum_value, min_value, max_value, 'NaN'), ''
                              order by series_id, bucket),
                   array_send(array_agg(cardinality(r.sketch)::int8 order by series_id, bucket) filter (where not none)),
                   string_agg(array_send(r.sketch), '' order by series_id, bucket) filter (where not none)
            from rollup_5min r
            where r.series_id = any(part) and bucket >= start and bucket < stop
            having count(*) > 0;
        end loop;
        start := stop;
      end if;
    end if;
    if start < least(until, packed[1]) then
      stop := least(until, packed[1]);
      merged := not (none or (sketches = 'open' and level = 1));
      slice := points_slice(stop - start + '15 minutes', '1 minute', merged);
      return query
        select place, null::int8, epoch_us(start), p.*, s.*
        from generate_series(1, cardinality(ids), slice) first, lateral (
          select array_send(array_agg(series_id order by series_id, since)),
                 array_send(array_agg(length(points) order by series_id, since)),
                 string_agg(points, '' order by series_id, since) as points
          from packed_1min
          where series_id = any(ids[first : first + slice - 1]) and since > start - interval '15 minutes' and since < stop
        ) p, lateral (
          select string_agg(lengths, '' order by series_id, since), string_agg(words, '' order by series_id, since)
          from packed_sketches_1min
          where merged and series_id = any(ids[first : first + slice - 1])
            and since > start - interval '15 minutes' and since < stop
        ) s
        where p.points is not null;
      start := stop;
    end if;
    if start < least(until, marks[1]) then
      stop := least(until, marks[1]);
      slice := points_slice(stop - start, '1 minute', not none);
      for begun in 1 .. cardinality(ids) by slice loop
        part := ids[begun : begun + slice - 1];
        return query
          select place, null::int8, epoch_us(start), array_send(array_agg(r.series_id order by series_id, bucket)),
                 null::bytea,
                 string_agg(packed_point(bucket, sample_count, sum_value, min_value, max_value, 'NaN'), ''
                            order by series_id, bucket),
                 array_send(array_agg(cardinality(r.sketch)::int8 order by series_id, bucket) filter (where not none)),
                 string_agg(array_send(r.sketch), '' order by series_id, bucket) filter (where not none)
          from rollup_1min r
          where r.series_id = any(part) and bucket >= start and bucket < stop
          having count(*) > 0;
      end loop;
      start := stop;
    end if;
    if start < until then
      return query
        with live as (
          select raw.series_id, date_bin('1 minute', at, 'epoch'::timestamptz) as bucket,
                 count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
                 sum(value * coalesce(sample_count, 1)) as sum_value, min(coalesce(min_value, value)) as min_value,
                 max(coalesce(max_value, value)) as max_value,
                 sketch_with(array_agg(value order by value) filter (where raw.sketch is null and not none),
                             sketch_cat(raw.sketch) filter (where not none)) as sketch
          from raw_samples raw where raw.series_id = any(ids) and at >= start and at < until
          group by 1, 2
        )
        select place, null::int8, epoch_us(start), array_send(array_agg(series_id order by series_id, bucket)),
               null::bytea,
               string_agg(packed_point(bucket, sample_count, sum_value, min_value, max_value, 'NaN'), ''
                          order by series_id, bucket),
               array_send(array_agg(cardinality(live.sketch)::int8 order by series_id, bucket) filter (where not none)),
               string_agg(array_send(live.sketch), '' order by series_id, bucket) filter (where not none)
        from live having count(*) > 0;
    end if;
  end loop;
end $$;

drop function if exists read_minutes(timestamptz, timestamptz);
