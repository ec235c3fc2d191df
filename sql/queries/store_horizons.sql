-- Before which instant each table was dropped.
select table_name, epoch_us(horizon) as horizon_us from retention_state
