-- What people query: the wide view of raw samples. A distribution's metric_value is the mean of its sample_count values.
drop view if exists performance_metrics cascade;
create view performance_metrics as
select raw.at as "timestamp", series.metric_name, raw.value as metric_value, series.tags,
       series.source_agent_id, series.instance_id, coalesce(raw.sample_count, 1) as sample_count
from raw_samples raw join series using (series_id);
