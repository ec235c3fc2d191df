-- What a session holds: the rows of its window as they lie in the store.
create table series (
  series_id integer primary key, metric_name varchar, tags json, source_agent_id varchar, instance_id varchar);
create table raw_samples (at_us bigint, series_id integer, value double);
create table rollup_1min (
  bucket_us bigint, series_id integer, sample_count bigint, sum_value double, min_value double, max_value double,
  sketch bigint[]);
create table rollup_5min as from rollup_1min limit 0;
create table rollup_1hour as from rollup_1min limit 0;
create table rollup_1day as from rollup_1min limit 0;
