-- The raw rows of a day left the database.
update cold_days
set moved_at = coalesce(moved_at, clock_timestamp()), raw_bytes = coalesce(raw_bytes, %(raw_bytes)s::int8)
where day = instant(%(day_us)s::int8)
