-- What to compute of a window within one day, finest first: every level that a bucket of the window makes due, and
-- the finest table that still has all of it. fresh: the window is what the watermark moves over, so that only buckets
-- which end in it are due, and `watermark` is where it moves to; otherwise every bucket that touches the window is.
-- No step reaches a bucket that ends after the watermark, nor one whose raw rows or whose own level was dropped.
-- chained: only as far as each level's source is the next finer one, which continuous aggregates need.
create or replace function rollup_steps(
  since timestamptz, until timestamptz, watermark timestamptz, fresh bool, chained bool
) returns table (resolution text, source text, first timestamptz, past timestamptz)
language plpgsql stable as $$
declare
  day timestamptz := date_bin('24 hours', since, 'epoch');
  level record;
begin
  if (select horizon from retention_state where table_name = 'raw_samples') > day then
    return;
  end if;
  source := 'raw_samples';
  for level in
    select state.resolution, state.width, kept.table_name, kept.horizon > day as dropped
    from rollup_state state join retention_state kept on kept.table_name = 'rollup_' || state.resolution
    order by state.width
  loop
    exit when chained and level.dropped;
    continue when level.dropped;
    resolution := level.resolution;
    first := date_bin(level.width, since, 'epoch');
    past := least(date_bin(level.width, until - interval '1 microsecond', 'epoch') + level.width,
                  date_bin(level.width, watermark, 'epoch'));
    if fresh then
      past := least(past, date_bin(level.width, until, 'epoch'));
    end if;
    if past > first then
      return next;
    end if;
    source := level.table_name;
  end loop;
end $$;

-- Late minutes in [since, until) as windows, those at most `gap` apart together, none over midnight.
create or replace function rollup_late_windows(since timestamptz, until timestamptz, gap interval)
returns table (first timestamptz, past timestamptz)
language sql stable as $$
  with minutes as (
    select distinct minute, date_bin('24 hours', minute, 'epoch') as day from late_rows
    where minute >= since and minute < until
  ), begins as (
    select minute, minute - lag(minute) over (partition by day order by minute) <= gap + interval '1 minute' as joined
    from minutes
  ), numbered as (
    select minute, count(*) filter (where joined is not true) over (order by minute) as number from begins
  )
  select min(minute), max(minute) + interval '1 minute' from numbered group by number order by 1
$$;
