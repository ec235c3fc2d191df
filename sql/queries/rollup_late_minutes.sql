-- The minutes that late samples made stale.
select epoch_us(minute) as minute_us, sum(sample_count)::int8 as sample_count from late_rows group by minute order by minute
