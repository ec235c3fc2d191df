-- How far each resolution is refreshed.
select resolution, epoch_us(watermark) as watermark_us, (extract(epoch from width) * 1000000)::int8 as width_us
from rollup_state
