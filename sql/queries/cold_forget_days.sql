-- Days before an instant are no longer kept.
with gone as (delete from cold_changes where day < instant(%(before_us)s::int8))
delete from cold_days where day < instant(%(before_us)s::int8)
