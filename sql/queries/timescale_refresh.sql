-- Compute the buckets of one rollup anew over a window of whole buckets, whether or not they count as stale.
call refresh_continuous_aggregate(%(rollup)s::regclass, instant(%(since_us)s::int8), instant(%(until_us)s::int8), force => true)
