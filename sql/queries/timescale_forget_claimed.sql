-- Late minutes inside a window that was refreshed since they were claimed.
delete from late_rows
where claimed and minute >= instant(%(since_us)s::int8) and minute < instant(%(until_us)s::int8)
