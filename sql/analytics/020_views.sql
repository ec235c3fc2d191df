-- Percentiles are merged from sketches, rates from sums: averages of averages have no macro here.

-- The value that a bin of the sketch stands for (sql/idempotent/030_sketch.sql says why).
create macro sketch_value(key) as
  case when key = 0 then 0.0
       else sign(key) * (exp(least((abs(key) - 40000.5) * 0.0198, 709.782712893384)) / 1.0000490054002495) end;

-- Entries in order of their keys; `remaining` is how many values are still to pass before the q-quantile.
create macro sketch_walk(entries, q, minimum, maximum) as
  least(greatest(sketch_value(list_reduce(
    entries,
    lambda walked, entry: case
      when walked.remaining <= 0 then walked
      else {'remaining': walked.remaining - (entry & 4294967295), 'key': entry >> 32} end,
    {'remaining': greatest(1, ceil(q * list_sum(list_transform(entries, lambda each: each & 4294967295))))::bigint,
     'key': 0::bigint}).key), minimum), maximum);

-- The q-quantile by nearest rank of many rows' sketches: merged_quantile(list(sketch), 0.95, min(min_value), max(max_value)).
create macro merged_quantile(sketches, q, minimum, maximum) as
  sketch_walk(list_sort(flatten(sketches)), q, minimum, maximum);

create view performance_metrics as
select make_timestamptz(at_us) as timestamp, metric_name, value as metric_value, tags, source_agent_id, instance_id
from raw_samples join series using (series_id);

create view metrics_1min as
select make_timestamptz(bucket_us) as bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch
from rollup_1min join series using (series_id);

create view metrics_5min as
select make_timestamptz(bucket_us) as bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch
from rollup_5min join series using (series_id);

create view metrics_1hour as
select make_timestamptz(bucket_us) as bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch
from rollup_1hour join series using (series_id);

create view metrics_1day as
select make_timestamptz(bucket_us) as bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch
from rollup_1day join series using (series_id);
