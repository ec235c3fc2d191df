-- Move a table's horizon to the end of its last partition (or exported day) before the limit, never past what awaits
-- a refresh.
update retention_state state
set horizon = greatest(state.horizon, (
  select max(part.until)
  from (select table_name, until from store_partitions()
        union all select 'raw_samples', day + interval '24 hours' from cold_days) part
  where part.table_name = state.table_name
    and part.until <= least(
      %(limit)s::timestamptz,
      (select min(watermark) from rollup_state),
      (select min(minute) from late_rows))))
where state.table_name = %(table)s::text
returning epoch_us(state.horizon) as horizon_us
