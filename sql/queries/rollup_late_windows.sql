-- What late samples before an instant made stale, as windows within one day each.
select epoch_us(first) as since_us, epoch_us(past) as until_us
from rollup_late_windows('-infinity', instant(%(until_us)s::int8), make_interval(secs => %(join_us)s::int8 / 1000000.0))
