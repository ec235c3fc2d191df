-- What growth of counters is made of, over some pieces of time up to this second, packed where it can be: single samples
-- only.
select piece, from_us, series, bytes_each, points
from read_growth(%(series)s::int4[], %(resolutions)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[])
