-- Up to where hours and days are closed, and before where raw samples were dropped.
select epoch_us(max(watermark) filter (where resolution = '1hour')) as hours_until_us,
       epoch_us(max(watermark) filter (where resolution = '1day')) as days_until_us,
       (select epoch_us(horizon) from retention_state where table_name = 'raw_samples') as raw_since_us
from rollup_state
