-- How far each resolution is refreshed, and how many late samples wait for the next refresh.
select resolution, epoch_us(watermark) as watermark_us,
  (select coalesce(sum(sample_count), 0)::int8 from late_rows where minute < watermark) as late_waiting
from rollup_state
order by width
