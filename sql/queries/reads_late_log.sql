-- The last late samples that were folded in, newest first.
select epoch_us(hour) / 1000 as hour_ms, sample_count, series_count, epoch_us(first_loaded_at) / 1000 as loaded_ms,
       epoch_us(refreshed_at) / 1000 as refreshed_ms
from late_refreshes
order by refresh_id desc
limit %(limit)s
