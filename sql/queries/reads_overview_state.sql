-- The fleet in one row: how much there is, how fresh it is, how far the rollups are, and the busiest hosts.
select
  (select count(*) from series) as series_count,
  (select count(*) from raw_samples where at >= %(minute)s and at < %(minute_end)s) as samples_per_min,
  (select max(at) from latest_samples where at <= %(now)s) as newest_at,
  (select coalesce(sum(bytes), 0)::int8 from store_partitions()) as bytes_on_disk,
  (select jsonb_object_agg(resolution, epoch_us(watermark)) from rollup_state) as watermarks_us,
  (
    select coalesce(jsonb_agg(busy), '[]')
    from (
      select s.tags ->> 'host' as host, epoch_us(max(l.at)) / 1000 as at_ms,
        max(l.value) filter (where s.metric_name = 'cpu_busy_pct' and s.tags ->> 'cpu' = 'total') as cpu_busy_pct,
        max(l.value) filter (where s.metric_name = 'memory_used_pct') as memory_used_pct,
        max(l.value) filter (where s.metric_name = 'load_1m') as load_1m
      from series s
      join latest_samples l using (series_id)
      where s.metric_name in ('cpu_busy_pct', 'memory_used_pct', 'load_1m')
        and s.tags ? 'host' and l.at >= %(alive_since)s
      group by 1
      order by 3 desc nulls last, 5 desc nulls last, 4 desc nulls last, 1
      limit %(max_hosts)s
    ) busy
  ) as hosts
