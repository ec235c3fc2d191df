-- Recompute the buckets of one rollup in [since, until), of some series or (null) of all, from `source`:
-- raw_samples or a finer rollup. Returns how many rows there are now.
-- Dynamic, so that each statement is planned for its window. Raw rows are taken an hour at a time, so that
-- grouping them stays in memory however long the window is.
create or replace function rollup_rebuild(
  resolution text, source text, since timestamptz, until timestamptz, series_ids int4[]
) returns int8
language plpgsql set work_mem = '64MB' as $$
declare
  target text := 'rollup_' || resolution;
  width interval := (select state.width from rollup_state state where state.resolution = rollup_rebuild.resolution);
  slice interval := case when source = 'raw_samples' then greatest(width, interval '1 hour') else until - since end;
  start timestamptz := since;
  mine text := case when series_ids is null then '' else ' and series_id = any($3)' end;
  time_column text := case when source = 'raw_samples' then 'at' else 'bucket' end;
  anything bool;
  fill text;
  written int8;
  total int8 := 0;
begin
  execute format('delete from %I where bucket >= $1 and bucket < $2', target) || mine using since, until, series_ids;
  execute format('select exists (select from %1$I where %2$I >= $1 and %2$I < $2)', source, time_column)
    into anything using since, until;
  if not anything then  -- no partition either for days without samples
    return 0;
  end if;
  perform store_ensure_partitions(target, since, until);
  fill := format($sql$
    insert into %I (bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
                    first_at, last_at, first_value, last_value, increase) $sql$, target);
  if source = 'raw_samples' then
    fill := fill || format($sql$
      select date_bin(%L, at, 'epoch'::timestamptz), series_id, count(*) + coalesce(sum(sample_count - 1), 0)::int8,
             sum(value * coalesce(sample_count, 1)), min(coalesce(min_value, value)),
             max(coalesce(max_value, value)),
             sketch_with(array_agg(value order by value) filter (where sketch is null), sketch_cat(sketch)),
             min(at), max(at),
             (array_agg(value order by at) filter (where sketch is null))[1],
             (array_agg(value order by at) filter (where sketch is null))[count(*) - count(sketch)],
             counter_increase(array_agg(value order by at) filter (where sketch is null))
      from raw_samples where at >= $1 and at < $2 %s group by 1, 2$sql$, width, mine);
  else
    fill := fill || format($sql$
      select date_bin(%L, bucket, 'epoch'::timestamptz), series_id, sum(sample_count)::int8, sum(sum_value),
             min(min_value), max(max_value), sketch_merge(sketch),
             min(first_at), max(last_at),
             (array_agg(first_value order by bucket) filter (where first_value is not null))[1],
             (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)],
             sum(increase) + counter_between(
               array_agg(first_value order by bucket) filter (where first_value is not null),
               array_agg(last_value order by bucket) filter (where first_value is not null))
      from %I where bucket >= $1 and bucket < $2 %s group by 1, 2$sql$, width, source, mine);
  end if;
  while start < until loop
    execute fill using start, least(start + slice, until), series_ids;
    get diagnostics written = row_count;
    total := total + written;
    start := start + slice;
  end loop;
  return total;
end $$;
