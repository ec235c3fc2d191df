-- What the overview says of the whole fleet. Planned once a session, as in read_points(): planning it took longer than
-- answering it.

create or replace function read_overview(
  now timestamptz, minute timestamptz, minute_end timestamptz, alive_since timestamptz, max_hosts int
) returns table (
  series_count int8, samples_per_min int8, newest_at timestamptz, bytes_on_disk int8, watermarks_us jsonb, hosts jsonb
)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
begin
  return query select
    (select count(*) from series),
    (select count(*) from raw_samples where at >= minute and at < minute_end),
    (select max(at) from latest_samples where at <= read_overview.now),
    store_bytes(),
    (select jsonb_object_agg(resolution, epoch_us(watermark)) from rollup_state),
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
          and s.tags ? 'host' and l.at >= alive_since
        group by 1
        order by 3 desc nulls last, 5 desc nulls last, 4 desc nulls last, 1
        limit max_hosts
      ) busy
    );
end $$;
