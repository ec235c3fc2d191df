-- The database refreshes the fresh end by itself: a job of TimescaleDB that does what muninn.rollups.refresh does,
-- with the same announcement, the same lock and the same procedures. Why not a refresh policy:
-- docs/decisions/0005-timescaledb.md.

-- Announce up to where buckets will be closed, while no load is in flight: loads from then on record earlier samples
-- as late.
create or replace procedure rollup_announce(upto timestamptz)
language plpgsql as $$
begin
  if (select closing from rollup_state where resolution = '1min') < upto then
    perform set_config('lock_timeout', '10s', true);
    perform pg_advisory_xact_lock(8480, 1);
    update rollup_state set closing = greatest(closing, date_bin(width, upto, 'epoch'));
  end if;
  commit;
end $$;

-- One run of the job. config: schema; settle_s: a bucket is closed this long after its end; lateness_s: late minutes
-- of this stretch before now are the job's, older ones muninn.rollups'. An error leaves the lock with the session,
-- which ends with the run.
create or replace procedure rollup_run(job_id int4, config jsonb)
language plpgsql as $$
declare
  settled timestamptz := clock_timestamp() - make_interval(secs => (config ->> 'settle_s')::float8);
  closing timestamptz;
  start timestamptz;
  stop timestamptz;
  windows jsonb;
  written jsonb;
  buckets int8;
begin
  -- Muninn's schema, and that of the extension's functions.
  perform set_config('search_path', concat_ws(', ', quote_ident(config ->> 'schema'), (
            select quote_ident(nspname) from pg_extension join pg_namespace home on home.oid = extnamespace
            where extname = 'timescaledb')), false),
          set_config('timezone', 'UTC', false), set_config('jit', 'off', false);
  call rollup_announce(date_bin('1 minute', settled, 'epoch'));
  perform pg_advisory_lock(8480, 3);
  select state.closing, state.watermark into closing, start from rollup_state state where resolution = '1min';
  if start = 'epoch' then
    start := coalesce((select min(since) from store_partitions() where table_name = 'raw_samples'),
                      date_bin('24 hours', closing, 'epoch'));
  end if;
  while start < closing loop
    stop := least(closing, date_bin('24 hours', start, 'epoch') + interval '24 hours');
    call rollup_close_piece(start, stop, written);
    start := stop;
  end loop;
  windows := (
    select coalesce(jsonb_agg(late), '[]')
    from rollup_late_windows(
      settled - make_interval(secs => (config ->> 'lateness_s')::float8), closing, interval '1 hour') late
    -- Not days whose raw rows are in the cold tier: only muninn.rollups brings them back.
    where date_bin('24 hours', first, 'epoch') not in (select day from cold_days where moved_at is not null));
  for place in 0 .. jsonb_array_length(windows) - 1 loop
    start := (windows -> place ->> 'first')::timestamptz;
    stop := (windows -> place ->> 'past')::timestamptz;
    perform rollup_claim_late(start, stop);
    call rollup_compute_again(start, stop, null, true, written, buckets);
  end loop;
  perform pg_advisory_unlock(8480, 3);
end $$;

create or replace function rollup_job() returns int4
language sql stable as $$
  select job_id from timescaledb_information.jobs where proc_name = 'rollup_run' and proc_schema = current_schema()
$$;

-- Who refreshes the fresh end: 'database': the job, every `every_s` seconds; 'muninn': there is no job.
create or replace function rollup_refreshed_by(owner text, every_s float8, settle_s float8, lateness_s float8)
returns void
language plpgsql as $$
declare
  every interval := make_interval(secs => every_s);
  chosen jsonb := jsonb_build_object('schema', current_schema(), 'settle_s', settle_s, 'lateness_s', lateness_s);
  job int4;
begin
  perform pg_advisory_xact_lock(8480, 4);  -- one job, however many ask for it
  job := rollup_job();
  if owner <> 'database' then
    perform delete_job(job) where job is not null;
  else
    job := coalesce(job, add_job('rollup_run', every, chosen, fixed_schedule => false));
    perform alter_job(job, schedule_interval => every, config => chosen, scheduled => true,
                      max_runtime => interval '15 minutes', max_retries => -1, retry_period => every)
    from timescaledb_information.jobs
    where job_id = job and (schedule_interval, config, scheduled, max_retries) is distinct from (every, chosen, true, -1);
  end if;
end $$;

-- How the job fares: runs and failures so far, when one last succeeded, how long the last one took; null: not yet.
create or replace function rollup_job_state()
returns table (runs int8, failures int8, succeeded_at timestamptz, seconds float8)
language sql stable as $$
  select total_runs, total_failures, nullif(last_successful_finish, '-infinity'),
         extract(epoch from last_run_duration)::float8
  from timescaledb_information.jobs left join timescaledb_information.job_stats using (job_id)
  where job_id = rollup_job()
$$;
