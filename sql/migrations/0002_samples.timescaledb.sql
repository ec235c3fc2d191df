-- Raw samples as a hypertable. Rollups are continuous aggregates: sql/idempotent/035_rollups.timescaledb.sql.

-- sample_count to sketch: only of a sample that is a distribution, whose value is its mean. Where they are null
-- they take no room: the bitmap of nulls fits into the row's header.
create table raw_samples (
  at timestamptz not null,
  series_id int4 not null,
  value float8 not null,
  sample_count int8,
  min_value float8,
  max_value float8,
  sketch int8[]
);
-- The width of later chunks is a setting: store_tune() sets it.
select create_hypertable('raw_samples', by_range('at', interval '1 hour'), create_default_indexes => false);
-- As on plain PostgreSQL: a btree would cost nine tenths of the COPY rate, and rows arrive in order of time.
create index raw_samples_at on raw_samples using brin (at) with (pages_per_range = 32, autosummarize = on);
-- A series is a segment: 360 rows an hour at ten seconds, in order of time. Which of a chunk's segments a
-- question needs is then known without reading the others.
alter table raw_samples set (
  timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'at');

-- A refresh of a continuous aggregate can not run in the transaction that takes late rows out of the log.
-- So it claims them, refreshes, and takes out what it had claimed; what a crash leaves is claimed again.
alter table late_rows add column claimed bool not null default false;
