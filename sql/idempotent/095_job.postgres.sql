-- Jobs are TimescaleDB's: on plain PostgreSQL Muninn refreshes.
create or replace function rollup_refreshed_by(owner text, every_s float8, settle_s float8, lateness_s float8)
returns void language sql immutable as $$ select $$;

create or replace function rollup_job_state()
returns table (runs int8, failures int8, succeeded_at timestamptz, seconds float8)
language sql immutable as $$ select 0::int8, 0::int8, null::timestamptz, null::float8 where false $$;
