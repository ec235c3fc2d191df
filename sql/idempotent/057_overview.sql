-- What the overview is made of: a row of the whole fleet's state, then the minutes of all series since an instant, each
-- row one minute of some of them (points: 28 bytes a series, in no order). Of one instant, and planned once a session, as
-- in read_points(): planning it took longer than answering it.

drop function if exists read_overview(timestamptz, timestamptz, timestamptz, timestamptz, int);

create or replace function read_overview(now timestamptz, since timestamptz, alive_since timestamptz, max_hosts int)
returns table (state jsonb, at_us int8, points bytea)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  mark timestamptz := (select watermark from rollup_state where resolution = '1min');
  fleet_from timestamptz := coalesce((select kept_from from fleet_state), mark);
  fleet_until timestamptz := coalesce((select kept_until from fleet_state), mark);
  live_from timestamptz := greatest(since, fleet_until);
begin
  return query select fleet_totals(read_overview.now, alive_since, max_hosts), null::int8, null::bytea;
  return query
    select null::jsonb, epoch_us(bucket), minutes.points from fleet_minutes minutes
    where bucket >= greatest(since, fleet_from) and bucket < least(read_overview.now, fleet_until);
  if since < least(read_overview.now, fleet_from) then
    return query
      select null::jsonb, epoch_us(bucket), string_agg(fleet_point(series_id, sample_count, sum_value, min_value), ''::bytea)
      from rollup_1min where bucket >= since and bucket < least(read_overview.now, fleet_from) group by bucket;
  end if;
  if live_from < read_overview.now then
    return query
      with live as (
        select date_bin('1 minute', at, 'epoch'::timestamptz) as bucket, series_id,
               count(*) + coalesce(sum(sample_count - 1), 0)::int8 as sample_count,
               sum(value * coalesce(sample_count, 1)) as sum_value, min(coalesce(min_value, value)) as min_value
        from raw_samples where at >= live_from and at < read_overview.now group by 1, 2
      )
      select null::jsonb, epoch_us(bucket), string_agg(fleet_point(series_id, sample_count, sum_value, min_value), ''::bytea)
      from live group by bucket;
  end if;
end $$;

create or replace function fleet_totals(now timestamptz, alive_since timestamptz, max_hosts int) returns jsonb
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
begin
  return jsonb_build_object(
    'edition', series_edition(),
    'series_count', (select count(*) from series),
    'newest_us', (select epoch_us(max(at)) from latest_samples where at <= fleet_totals.now),
    'watermarks_us', (select jsonb_object_agg(resolution, epoch_us(watermark)) from rollup_state),
    'hosts', (
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
    ));
end $$;
