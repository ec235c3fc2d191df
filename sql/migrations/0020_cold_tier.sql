-- The cold tier: days that lie in Parquet files, which of them left the database, and what changed since.

-- owner: the folder below the cold folder that is this database's. Loads note the days before `announced` that
-- they change: what they write may be missing from a file that is being made, or was.
create table cold_tier (
  only_row bool primary key default true check (only_row),
  owner uuid not null default gen_random_uuid(),
  announced timestamptz not null default 'epoch'
);
insert into cold_tier default values;

create table cold_changes (
  change_id int8 generated always as identity primary key,
  day timestamptz not null,
  noted_at timestamptz not null default now()
);

-- moved_at: since then its raw rows are in the files, and the database has only what came later, which goes
-- before what the files say. Until then the database has all of them, and the files are a copy.
create table cold_days (
  day timestamptz primary key,
  exported_at timestamptz not null default clock_timestamp(),
  watermark timestamptz not null,
  moved_at timestamptz,
  raw_bytes int8
);
comment on column cold_days.watermark is 'up to where rollups were refreshed when the day was exported';
comment on column cold_days.raw_bytes is 'what its rows took in the database, with indexes, when they left it';

-- content: raw, or the resolution of rollups. path: below the cold folder. sample_count: more than rows where
-- samples are distributions. checksum: of raw rows, in any order.
create table cold_files (
  day timestamptz not null references cold_days on delete cascade,
  content text not null,
  metric_group text not null,
  path text not null unique,
  row_count int8 not null,
  sample_count int8 not null,
  series_count int4 not null,
  bytes int8 not null,
  checksum int8 not null,
  primary key (day, content, metric_group)
);
