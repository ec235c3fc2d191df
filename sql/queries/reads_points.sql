-- Buckets of some series up to this second, packed where they can be: what trends and comparisons are made of.
select series_id, points, sketch_length, sketch
from read_points(%(resolution)s::text, %(series)s::int4[], %(since)s, %(until)s, %(sketches)s::text)
