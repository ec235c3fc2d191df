-- live_<resolution>: refreshed buckets below the watermark, and above it the next finer level, aggregated now.
-- By series_id, for those who know their series; metrics_<resolution> are the same for people.

-- The watermark as a constant of each plan, so that partitions are left out and row counts are known when it is
-- made. IMMUTABLE is not true, but safe: a plan that keeps an older watermark reads more raw rows and gives the
-- same answer, because all its parts keep the same one. Attaching the next day's partition ends such plans;
-- Muninn's own connections plan every time (plan_cache_mode).
create or replace function rollup_watermark(of_resolution text) returns timestamptz
language plpgsql immutable parallel safe as
$$ begin return (select watermark from rollup_state where resolution = of_resolution); end $$;

drop view if exists live_1min, live_5min, live_1hour, live_1day cascade;

create view live_1min as
select bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1min
where bucket < rollup_watermark('1min')
union all
select date_bin('1 minute', at, 'epoch'::timestamptz) as bucket, series_id,
       count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
       sum(value * coalesce(sample_count, 1)) as sum_value, min(coalesce(min_value, value)) as min_value,
       max(coalesce(max_value, value)) as max_value,
       sketch_with(array_agg(value order by value) filter (where sketch is null), sketch_cat(sketch)) as sketch,
       min(at) as first_at, max(at) as last_at,
       (array_agg(value order by at) filter (where sketch is null))[1] as first_value,
       (array_agg(value order by at) filter (where sketch is null))[count(*) - count(sketch)] as last_value,
       counter_increase(array_agg(value order by at) filter (where sketch is null)) as increase
from raw_samples
where at >= rollup_watermark('1min')
group by 1, 2;

create view live_5min as
select bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_5min
where bucket < rollup_watermark('5min')
union all
select date_bin('5 minutes', bucket, 'epoch'::timestamptz) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from live_1min
where bucket >= rollup_watermark('5min')
group by 1, 2;

create view live_1hour as
select bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1hour
where bucket < rollup_watermark('1hour')
union all
select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from live_5min
where bucket >= rollup_watermark('1hour')
group by 1, 2;

create view live_1day as
select bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1day
where bucket < rollup_watermark('1day')
union all
select date_bin('24 hours', bucket, 'epoch'::timestamptz) as bucket, series_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from live_1hour
where bucket >= rollup_watermark('1day')
group by 1, 2;
