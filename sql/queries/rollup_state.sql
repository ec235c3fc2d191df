-- How far each resolution is: closing, watermark and when it was last refreshed (null: never).
select resolution, epoch_us(closing) as closing_us, epoch_us(watermark) as watermark_us,
       epoch_us(refreshed_at) as refreshed_us
from rollup_state order by width
