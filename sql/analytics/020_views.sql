-- The names and columns of PostgreSQL; `sketch` and `counter` are for the macros.
create view performance_metrics as
select "at" as timestamp, metric_name, value as metric_value, tags, source_agent_id, instance_id
from raw_samples join series using (series_id, metric_group);

create view metrics_1min as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch,
       {'series_id': series_id, 'bucket': bucket, 'first_at': first_at, 'last_at': last_at, 'first_value': first_value,
        'last_value': last_value, 'increase': increase} as counter
from rollup_1min join series using (series_id);

create view metrics_5min as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch,
       {'series_id': series_id, 'bucket': bucket, 'first_at': first_at, 'last_at': last_at, 'first_value': first_value,
        'last_value': last_value, 'increase': increase} as counter
from rollup_5min join series using (series_id);

create view metrics_1hour as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch,
       {'series_id': series_id, 'bucket': bucket, 'first_at': first_at, 'last_at': last_at, 'first_value': first_value,
        'last_value': last_value, 'increase': increase} as counter
from rollup_1hour join series using (series_id);

create view metrics_1day as
select bucket, metric_name, tags, source_agent_id, instance_id,
       sum_value / sample_count as avg_value, min_value, max_value, sum_value, sample_count,
       merged_quantile([sketch], 0.50, min_value, max_value) as p50_value,
       merged_quantile([sketch], 0.95, min_value, max_value) as p95_value,
       merged_quantile([sketch], 0.99, min_value, max_value) as p99_value, sketch,
       {'series_id': series_id, 'bucket': bucket, 'first_at': first_at, 'last_at': last_at, 'first_value': first_value,
        'last_value': last_value, 'increase': increase} as counter
from rollup_1day join series using (series_id);
