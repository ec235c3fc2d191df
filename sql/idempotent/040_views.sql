-- What people query: the wide view of raw samples.
drop view if exists performance_metrics cascade;
create view performance_metrics as
select raw.at as "timestamp", series.metric_name, raw.value as metric_value, series.tags,
       series.source_agent_id, series.instance_id
from raw_samples raw join series using (series_id);
