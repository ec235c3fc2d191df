-- Who samples belong to, their latest values, and which buffer entries are in.

create table series (
  series_id int4 generated always as identity primary key,
  fingerprint uuid not null unique,
  metric_name text not null,
  tags jsonb not null,
  source_agent_id text not null,
  instance_id text not null,
  created_at timestamptz not null default now()
);
create index series_metric_name on series (metric_name, series_id);

-- One row per series from its registration on: writers lock it, so that two of them never disagree on
-- what is new. Half-filled pages let updates stay on their page (HOT), without touching the index.
create table latest_samples (
  series_id int4 primary key references series,
  at timestamptz,
  value float8
) with (fillfactor = 50);
comment on column latest_samples.at is 'null until the first sample';

-- The loader's position: an entry is in here exactly if its rows are in the store.
create table loaded_entries (
  stream text not null,
  entry_id text not null,
  loaded_at timestamptz not null default now(),
  primary key (stream, entry_id)
);

-- Invalidation log: written by loaders in their own transaction for samples below the closing instant,
-- taken by the refresh.
create table late_rows (
  series_id int4 not null,
  minute timestamptz not null,
  sample_count int4 not null,
  loaded_at timestamptz not null default now()
);

-- What became of it: one row per hour and refresh that recomputed late buckets.
create table late_refreshes (
  refresh_id int8 generated always as identity primary key,
  hour timestamptz not null,
  sample_count int8 not null,
  series_count int8 not null,
  first_loaded_at timestamptz not null,
  refreshed_at timestamptz not null default now()
);
create index late_refreshes_refreshed_at on late_refreshes (refreshed_at);

-- closing: loaders record samples before it as late. watermark: buckets before it are refreshed.
create table rollup_state (
  resolution text primary key,
  width interval not null,
  closing timestamptz not null default 'epoch',
  watermark timestamptz not null default 'epoch',
  refreshed_at timestamptz,
  check (watermark <= closing)
);
insert into rollup_state (resolution, width) values
  ('1min', '1 minute'), ('5min', '5 minutes'), ('1hour', '1 hour'), ('1day', '1 day');

-- Rows before the horizon were dropped by retention, and none may come back.
create table retention_state (
  table_name text primary key,
  partition_days int4 not null,
  horizon timestamptz not null default 'epoch'
);
insert into retention_state (table_name, partition_days) values
  ('raw_samples', 1), ('rollup_1min', 1), ('rollup_5min', 7), ('rollup_1hour', 28), ('rollup_1day', 364);
