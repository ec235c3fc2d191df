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
  if source = 'raw_samples' then
    fill := format($sql$
      insert into %I (bucket, series_id, sample_count, sum_value, min_value, max_value, sketch)
      select date_bin(%L, at, 'epoch'::timestamptz) as bucket, series_id, count(*), sum(value), min(value), max(value),
             sketch_of(array_agg(value))
      from raw_samples where at >= $1 and at < $2 %s group by 1, 2$sql$, target, width, mine);
  else
    fill := format($sql$
      insert into %I (bucket, series_id, sample_count, sum_value, min_value, max_value, sketch)
      select date_bin(%L, bucket, 'epoch'::timestamptz) as bucket, series_id, sum(sample_count)::int8, sum(sum_value),
             min(min_value), max(max_value), sketch_merge(sketch)
      from %I where bucket >= $1 and bucket < $2 %s group by 1, 2$sql$, target, width, source, mine);
  end if;
  while start < until loop
    execute fill using start, least(start + slice, until), series_ids;
    get diagnostics written = row_count;
    total := total + written;
    start := start + slice;
  end loop;
  return total;
end $$;
