-- Late minutes inside a window that is rebuilt whole.
delete from late_rows where minute >= instant(%(since_us)s::int8) and minute < instant(%(until_us)s::int8)
