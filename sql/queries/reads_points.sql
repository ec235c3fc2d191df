-- Buckets of some series over some pieces of time up to this second, packed where they can be: what trends and
-- comparisons are made of.
select piece, from_us, series, bytes_each, points, sketch_length, sketch
from read_points(%(series)s::int4[], null, null, null, null, null, null, %(resolutions)s::text[], %(since)s::timestamptz[],
                 %(until)s::timestamptz[], %(sketches)s::text)
