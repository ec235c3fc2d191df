-- The fleet in one row: how much there is, how fresh it is, how far the rollups are, and the busiest hosts.
select series_count, samples_per_min, newest_at, bytes_on_disk, watermarks_us, hosts
from read_overview(%(now)s, %(minute)s, %(minute_end)s, %(alive_since)s, %(max_hosts)s::int4)
