-- Raw samples and rollups as native partitions by time; partitions are made by store_ensure_partitions().

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
) partition by range (at);
-- A btree would cost nine tenths of the COPY rate (docs/decisions/0002-series-model.md). Rows arrive in
-- order of time, so block ranges find a minute; 32 blocks are about 5,000 rows.
create index raw_samples_at on raw_samples using brin (at) with (pages_per_range = 32, autosummarize = on);

-- first_value, last_value, increase: of single samples in order of time; null where all are distributions.
-- sum(increase) + counter_between() of the buckets of any stretch is the growth of a counter over it.
create table rollup_1min (
  bucket timestamptz not null,
  series_id int4 not null,
  sample_count int8 not null,
  sum_value float8 not null,
  min_value float8 not null,
  max_value float8 not null,
  sketch int8[] not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  first_value float8,
  last_value float8,
  increase float8,
  primary key (series_id, bucket)
) partition by range (bucket);
create index rollup_1min_bucket on rollup_1min using brin (bucket) with (pages_per_range = 16, autosummarize = on);

create table rollup_5min (like rollup_1min including indexes) partition by range (bucket);
create table rollup_1hour (like rollup_1min including indexes) partition by range (bucket);
create table rollup_1day (like rollup_1min including indexes) partition by range (bucket);
