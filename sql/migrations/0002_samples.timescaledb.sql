-- Raw samples as a hypertable. Rollups are continuous aggregates: sql/idempotent/035_rollups.timescaledb.sql.

-- A value is mantissa / 10 ^ exponent, bit for bit, or value itself: integers of one scale compress to a seventh of
-- what doubles do (docs/decisions/0005-timescaledb.md). The view raw_samples shows values.
-- sample_count to sketch: only of a sample that is a distribution, whose value is its mean.
create table scaled_samples (
  at timestamptz not null,
  mantissa int8,
  value float8,
  series_id int4 not null,
  exponent int2,
  sample_count int8,
  min_value float8,
  max_value float8,
  sketch int8[],
  check (num_nonnulls(value, mantissa) = 1)
);
-- The width of later chunks is a setting: store_tune() sets it.
select create_hypertable('scaled_samples', by_range('at', interval '1 hour'), create_default_indexes => false);
-- As on plain PostgreSQL: a btree would cost nine tenths of the COPY rate, and rows arrive in order of time.
create index scaled_samples_at on scaled_samples using brin (at) with (pages_per_range = 32, autosummarize = on);

-- A segment is a series at one scale, in order of time: which of a chunk's segments a question needs is then known
-- without reading the others, and integers of one scale lie close together.
alter table scaled_samples set (
  timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series_id, exponent', timescaledb.orderby = 'at');

-- The quotient of two exact doubles is rounded once, to the double that the decimal stands for. An array, because it
-- is read faster than a power is computed. Not strict: a strict function around coalesce is not inlined.
create function sample_value(exponent int2, mantissa int8, value float8) returns float8
language sql immutable parallel safe as
$$ select coalesce(value, mantissa::float8
                   / ('{1,1e1,1e2,1e3,1e4,1e5,1e6,1e7,1e8,1e9,1e10,1e11,1e12}'::float8[])[exponent + 1]) $$;

create view raw_samples as
select at, series_id, sample_value(exponent, mantissa, value) as value, sample_count, min_value, max_value, sketch
from scaled_samples;
-- For the few rows that are not copied: as doubles.
create rule raw_samples_insert as on insert to raw_samples do instead
insert into scaled_samples (at, series_id, value, sample_count, min_value, max_value, sketch)
values (new.at, new.series_id, new.value, new.sample_count, new.min_value, new.max_value, new.sketch);

-- A refresh of a continuous aggregate can not run in the transaction that takes late rows out of the log.
-- So it claims them, refreshes, and takes out what it had claimed; what a crash leaves is claimed again.
alter table late_rows add column claimed bool not null default false;
