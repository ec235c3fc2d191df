-- A day is exported, or exported again.
insert into cold_days (day, watermark) values (instant(%(day_us)s::int8), instant(%(watermark_us)s::int8))
on conflict (day) do update set exported_at = excluded.exported_at, watermark = excluded.watermark
