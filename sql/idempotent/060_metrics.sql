-- metrics_<resolution>: what people query. One row per bucket and series, percentiles from the sketch.
-- Each part of wide_<resolution> is joined with series by itself, and before it is aggregated: a condition on
-- the metric's name then reaches the index of the rollup and spares the sketches of all other series.

drop view if exists wide_1min, wide_5min, wide_1hour, wide_1day cascade;

create view wide_1min as
select bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1min join series using (series_id)
where bucket < rollup_watermark('1min')
union all
select date_bin('1 minute', at, 'epoch'::timestamptz) as bucket, series.series_id, metric_name, tags, source_agent_id, instance_id,
       count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
       sum(value * coalesce(sample_count, 1)) as sum_value, min(coalesce(min_value, value)) as min_value,
       max(coalesce(max_value, value)) as max_value,
       sketch_with(array_agg(value order by value) filter (where sketch is null), sketch_cat(sketch)) as sketch,
       min(at) as first_at, max(at) as last_at,
       (array_agg(value order by at) filter (where sketch is null))[1] as first_value,
       (array_agg(value order by at) filter (where sketch is null))[count(*) - count(sketch)] as last_value,
       counter_increase(array_agg(value order by at) filter (where sketch is null)) as increase
from raw_samples raw join series on series.series_id = raw.series_id
where at >= rollup_watermark('1min')
group by 1, series.series_id;

create view wide_5min as
select bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_5min join series using (series_id)
where bucket < rollup_watermark('5min')
union all
select date_bin('5 minutes', bucket, 'epoch'::timestamptz) as bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from wide_1min
where bucket >= rollup_watermark('5min')
group by 1, series_id, metric_name, tags, source_agent_id, instance_id;

create view wide_1hour as
select bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1hour join series using (series_id)
where bucket < rollup_watermark('1hour')
union all
select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from wide_5min
where bucket >= rollup_watermark('1hour')
group by 1, series_id, metric_name, tags, source_agent_id, instance_id;

create view wide_1day as
select bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sample_count, sum_value, min_value, max_value, sketch,
       first_at, last_at, first_value, last_value, increase
from rollup_1day join series using (series_id)
where bucket < rollup_watermark('1day')
union all
select date_bin('24 hours', bucket, 'epoch'::timestamptz) as bucket, series_id, metric_name, tags, source_agent_id, instance_id,
       sum(sample_count)::int8 as sample_count, sum(sum_value) as sum_value,
       min(min_value) as min_value, max(max_value) as max_value, sketch_merge(sketch) as sketch,
       min(first_at) as first_at, max(last_at) as last_at,
       (array_agg(first_value order by bucket) filter (where first_value is not null))[1] as first_value,
       (array_agg(last_value order by bucket) filter (where first_value is not null))[count(first_value)] as last_value,
       sum(increase) + counter_between(
         array_agg(first_value order by bucket) filter (where first_value is not null),
         array_agg(last_value order by bucket) filter (where first_value is not null)) as increase
from wide_1hour
where bucket >= rollup_watermark('1day')
group by 1, series_id, metric_name, tags, source_agent_id, instance_id;

create view metrics_1min as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       sketch_quantile(sketch, 0.50, min_value, max_value) as p50_value,
       sketch_quantile(sketch, 0.95, min_value, max_value) as p95_value,
       sketch_quantile(sketch, 0.99, min_value, max_value) as p99_value,
       first_at, last_at, first_value, last_value, increase
from wide_1min;

create view metrics_5min as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       sketch_quantile(sketch, 0.50, min_value, max_value) as p50_value,
       sketch_quantile(sketch, 0.95, min_value, max_value) as p95_value,
       sketch_quantile(sketch, 0.99, min_value, max_value) as p99_value,
       first_at, last_at, first_value, last_value, increase
from wide_5min;

create view metrics_1hour as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       sketch_quantile(sketch, 0.50, min_value, max_value) as p50_value,
       sketch_quantile(sketch, 0.95, min_value, max_value) as p95_value,
       sketch_quantile(sketch, 0.99, min_value, max_value) as p99_value,
       first_at, last_at, first_value, last_value, increase
from wide_1hour;

create view metrics_1day as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       sketch_quantile(sketch, 0.50, min_value, max_value) as p50_value,
       sketch_quantile(sketch, 0.95, min_value, max_value) as p95_value,
       sketch_quantile(sketch, 0.99, min_value, max_value) as p99_value,
       first_at, last_at, first_value, last_value, increase
from wide_1day;
