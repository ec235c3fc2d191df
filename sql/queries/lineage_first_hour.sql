-- The first closed hour that has samples; null where there is none.
select epoch_us(min(bucket)) as hour_us from rollup_1hour
