-- Days of a window whose raw rows left the database.
select epoch_us(day) as day_us from cold_days
where moved_at is not null and day < instant(%(until_us)s::int8) and day + interval '24 hours' > instant(%(since_us)s::int8)
order by day
