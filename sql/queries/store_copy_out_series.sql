-- Every series, as CSV.
copy (select series_id, metric_name, tags, source_agent_id, instance_id, cold_group(metric_name) from series) to stdout (format csv)
