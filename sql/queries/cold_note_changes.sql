-- These days are no longer what their files say.
insert into cold_changes (day) select instant(day_us) from unnest(%(days_us)s::int8[]) as changed (day_us)
