-- Rollups as continuous aggregates, each of the next finer one. They are made once and hold what is below the
-- watermark of rollup_state: live_<resolution> adds what is above it, the same way on every engine. That is why
-- they are materialized only, and why no refresh policy is on them: 090_refresh.timescaledb.sql, and no other.

create materialized view if not exists rollup_1min
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 minute', at) as bucket, series_id,
       count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
       sum(sample_value(exponent, mantissa, value) * coalesce(sample_count, 1)) as sum_value,
       min(coalesce(min_value, sample_value(exponent, mantissa, value))) as min_value,
       max(coalesce(max_value, sample_value(exponent, mantissa, value))) as max_value,
       sketch_with(array_agg(sample_value(exponent, mantissa, value) order by sample_value(exponent, mantissa, value))
                     filter (where sketch is null),
                   sketch_cat(sketch)) as sketch,
       min(at) as first_at, max(at) as last_at,
       (array_agg(sample_value(exponent, mantissa, value) order by at) filter (where sketch is null))[1] as first_value,
       (array_agg(sample_value(exponent, mantissa, value) order by at) filter (where sketch is null))
         [count(*) - count(sketch)] as last_value,
       counter_increase(
         array_agg(sample_value(exponent, mantissa, value) order by at) filter (where sketch is null)) as increase
from scaled_samples
group by 1, 2
with no data;

create materialized view if not exists rollup_5min
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '5 minutes', bucket) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from rollup_1min
group by 1, 2
with no data;

create materialized view if not exists rollup_1hour
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 hour', bucket) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from rollup_5min
group by 1, 2
with no data;

create materialized view if not exists rollup_1day
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select time_bucket(interval '1 day', bucket) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
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
