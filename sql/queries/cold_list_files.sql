-- The files of exported days.
select epoch_us(day) as day_us, content, metric_group, path, row_count, sample_count, series_count, bytes, checksum
from cold_files
where day >= instant(%(since_us)s::int8) and day < instant(%(until_us)s::int8)
order by day, content, metric_group
