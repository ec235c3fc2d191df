-- What late samples made the refresher recompute since a given refresh, oldest first.
select refresh_id, epoch_us(hour) as hour_us, sample_count, series_count, epoch_us(first_loaded_at) as loaded_us,
       epoch_us(refreshed_at) as refreshed_us
from late_refreshes
where refresh_id > %(after)s
order by refresh_id
limit %(limit)s
