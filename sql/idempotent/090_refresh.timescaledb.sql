-- How rollups are computed here, for muninn/rollups/aggregates.py and for the database's own job. Only for a session
-- that holds the refresh lock (8480, 3).
--
-- refresh_continuous_aggregate() runs in no transaction, so what plain PostgreSQL does in one is done in three: late
-- rows are claimed; buckets are computed; in one transaction the claimed rows go and the watermark moves. Whatever was
-- claimed was committed before the computation began, which therefore sees its samples. A crash in between leaves late
-- rows claimed, and the next pass claims and computes them again; buckets above the watermark that it leaves are seen
-- by no view and computed again too.
--
-- Every computation is forced: it does not ask TimescaleDB what has changed, so a damaged bucket is repaired, and the
-- one stretch per transaction that TimescaleDB notes as changed costs nothing.

-- Compute the steps of a window; adds the rows of each to `written`, by resolution.
create or replace procedure rollup_compute(
  since timestamptz, until timestamptz, watermark timestamptz, fresh bool, only_resolution text, inout written jsonb
)
language plpgsql as $$
declare
  -- Taken before: a refresh commits, which no open cursor outlives.
  steps jsonb := (
    select coalesce(jsonb_agg(step), '[]') from rollup_steps(since, until, watermark, fresh, true) step
    where step.resolution = coalesce(only_resolution, step.resolution));
  level text;
  first timestamptz;
  past timestamptz;
  start timestamptz;
begin
  -- Buckets that lie in the columnstore are replaced too, however many.
  perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false);
  written := coalesce(written, '{}');
  for place in 0 .. jsonb_array_length(steps) - 1 loop
    level := steps -> place ->> 'resolution';
    first := (steps -> place ->> 'first')::timestamptz;
    past := (steps -> place ->> 'past')::timestamptz;
    start := first;
    while start < past loop  -- an hour of raw samples at a time, so that grouping them stays in memory
      call refresh_continuous_aggregate(
        ('rollup_' || level)::regclass, start,
        least(past, case level when '1min' then start + interval '1 hour' else past end), force => true);
      start := case level when '1min' then start + interval '1 hour' else past end;
    end loop;
    written := written || jsonb_build_object(
      level, coalesce((written ->> level)::int8, 0) + rollup_rows(level, first, past));
  end loop;
end $$;

-- Mark the late minutes of a window that the computation which follows will see, also those that a crash left marked.
create or replace function rollup_claim_late(since timestamptz, until timestamptz) returns int8
language sql as $$
  with claimed as (
    update late_rows set claimed = true where minute >= since and minute < until returning 1
  )
  select count(*) from claimed
$$;

-- Compute the buckets that end in a piece of one day, then move the watermark to its end.
create or replace procedure rollup_close_piece(since timestamptz, until timestamptz, inout written jsonb)
language plpgsql as $$
begin
  if (select watermark from rollup_state where resolution = '1min') >= until then  -- another refresh was faster
    return;
  end if;
  perform rollup_claim_late(since, until);
  commit;
  call rollup_compute(since, until, until, true, null, written);
  delete from late_rows where claimed and minute >= since and minute < until;
  update rollup_state
  set watermark = greatest(watermark, date_bin(width, until, 'epoch')), refreshed_at = clock_timestamp();
  call packed_extend();
  commit;
end $$;

-- Compute every bucket that touches a window within one day, whose late rows are claimed, at every resolution or one.
-- Then the claimed rows go; with `note` what became of them is kept. `buckets`: (series, minute) pairs that they were.
create or replace procedure rollup_compute_again(
  since timestamptz, until timestamptz, only_resolution text, note bool, inout written jsonb, inout buckets int8
)
language plpgsql as $$
declare
  reached timestamptz := (select watermark from rollup_state where resolution = '1min');
  step record;
begin
  commit;
  call rollup_compute(since, until, reached, false, only_resolution, written);
  for step in select * from rollup_steps(since, until, reached, false, true) loop
    if step.resolution = coalesce(only_resolution, step.resolution) then
      call packed_renew(step.resolution, step.first, step.past, null);
    end if;
  end loop;
  with taken as (
    delete from late_rows where claimed and minute >= since and minute < until and only_resolution is null
    returning series_id, minute, sample_count, loaded_at
  ), noted as (
    insert into late_refreshes (hour, sample_count, series_count, first_loaded_at)
    select date_trunc('hour', minute, 'UTC'), sum(sample_count), count(distinct series_id), min(loaded_at)
    from taken where note group by 1
  )
  select count(distinct (series_id, minute)) into buckets from taken;
  commit;
end $$;
