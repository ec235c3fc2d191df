-- Rollups as continuous aggregates, each of the next finer one. They are made once and hold what is below the
-- watermark of rollup_state: live_<resolution> adds what is above it, the same way on every engine. That is why
-- they are materialized only, and why no policy refreshes them: muninn.rollups does, and no other.

create materialized view if not exists rollup_1min
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 minute', at) as bucket, series_id, count(*) as sample_count, sum(value) as sum_value,
       min(value) as min_value, max(value) as max_value, sketch_of(array_agg(value)) as sketch
from raw_samples
group by 1, 2
with no data;

create materialized view if not exists rollup_5min
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '5 minutes', bucket) as bucket, series_id, sum(sample_count)::int8 as sample_count,
       sum(sum_value) as sum_value, min(min_value) as min_value, max(max_value) as max_value,
       sketch_merge(sketch) as sketch
from rollup_1min
group by 1, 2
with no data;

create materialized view if not exists rollup_1hour
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 hour', bucket) as bucket, series_id, sum(sample_count)::int8 as sample_count,
       sum(sum_value) as sum_value, min(min_value) as min_value, max(max_value) as max_value,
       sketch_merge(sketch) as sketch
from rollup_5min
group by 1, 2
with no data;

create materialized view if not exists rollup_1day
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 day', bucket) as bucket, series_id, sum(sample_count)::int8 as sample_count,
       sum(sum_value) as sum_value, min(min_value) as min_value, max(max_value) as max_value,
       sketch_merge(sketch) as sketch
from rollup_1hour
group by 1, 2
with no data;

create index if not exists rollup_1min_series on rollup_1min (series_id, bucket);
create index if not exists rollup_5min_series on rollup_5min (series_id, bucket);
create index if not exists rollup_1hour_series on rollup_1hour (series_id, bucket);
create index if not exists rollup_1day_series on rollup_1day (series_id, bucket);

-- Chunks as wide as what retention drops at once.
select set_chunk_time_interval(table_name::regclass, partition_days * interval '24 hours')
from retention_state where table_name like 'rollup%';

-- How many rows a rollup has in [since, until).
create or replace function rollup_rows(resolution text, since timestamptz, until timestamptz) returns int8
language plpgsql stable as $$
declare
  found int8;
begin
  execute format('select count(*) from %I where bucket >= $1 and bucket < $2', 'rollup_' || resolution)
    into found using since, until;
  return found;
end $$;
