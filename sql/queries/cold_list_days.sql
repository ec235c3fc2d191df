-- Every exported day: when, whether and when it left the database, and whether it changed since the export.
select epoch_us(day) as day_us, epoch_us(exported_at) as exported_us, epoch_us(watermark) as watermark_us,
       epoch_us(moved_at) as moved_us, raw_bytes,
       exists (select from cold_changes change where change.day = cold_days.day) as changed
from cold_days
where day >= instant(%(since_us)s::int8) and day < instant(%(until_us)s::int8)
order by day
