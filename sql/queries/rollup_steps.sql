-- What to compute of a window within one day, from what, finest first.
select resolution, source, epoch_us(first) as since_us, epoch_us(past) as until_us
from rollup_steps(instant(%(since_us)s::int8), instant(%(until_us)s::int8), instant(%(watermark_us)s::int8),
                  %(fresh)s::bool, %(chained)s::bool)
