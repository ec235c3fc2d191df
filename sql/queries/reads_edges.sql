-- Finer buckets of some hours, those that the bound of a span cuts.
select series_id, points, sketch_length, sketch
from unnest(%(hours)s::timestamptz[]) as cut (hour),
  lateral read_points(%(resolution)s::text, %(series)s::int4[], hour, hour + interval '1 hour', %(sketches)s::text)
