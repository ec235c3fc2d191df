-- How many samples the daily rollups of exported days count.
select epoch_us(day) as day_us, sum(sample_count)::int8 as samples
from cold_days join rollup_1day on bucket = day
group by day
