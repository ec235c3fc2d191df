-- What a session holds by itself: who samples belong to, and what lies in no file.
create table snapshot (taken_at timestamptz, since timestamptz, until timestamptz, days_in_files integer, changed_days integer);
comment on table snapshot is 'the instant that all views show, the window, and how many of its days are read from files';
create table series (
  series_id integer primary key, metric_name varchar, tags json, source_agent_id varchar, instance_id varchar,
  metric_group varchar);
comment on column series.metric_group is 'the metrics that are filed together: only their files are opened';
create table hot_samples ("at" timestamptz, series_id integer, value double);
create table hot_1min (
  bucket timestamptz, series_id integer, sample_count bigint, sum_value double, min_value double, max_value double,
  sketch bigint[], first_at timestamptz, last_at timestamptz, first_value double, last_value double, increase double);
create table hot_5min as from hot_1min limit 0;
create table hot_1hour as from hot_1min limit 0;
create table hot_1day as from hot_1min limit 0;
