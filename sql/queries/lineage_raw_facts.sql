-- Raw samples of a window: how many series, and the first and last instant (null: none).
select count(*) as series, epoch_us(min(first)) as first_us, epoch_us(max(last)) as last_us
from (
  select min(at) as first, max(at) as last
  from raw_samples
  where at >= %(since)s and at < %(until)s
  group by series_id
) of_series
