-- Rollups of these exported days were computed anew: their copies may be others now.
insert into cold_changes (day)
select day from cold_days where day >= instant(%(since_us)s::int8) and day < instant(%(until_us)s::int8)
