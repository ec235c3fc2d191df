-- Packed buckets of a rollup before its horizon go with it.
call packed_drop(%(table)s::text, instant(%(before_us)s::int8))
