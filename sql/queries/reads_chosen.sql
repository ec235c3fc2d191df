-- The series that a question is about and, if they are not too many, their buckets over some pieces of time.
select piece, edition, from_us, series, bytes_each, points, sketch_length, sketch
from read_points(null, %(metrics)s::text[], %(tags)s::jsonb, %(source_agent_id)s::text, %(instance_id)s::text,
                 %(alive_since)s, %(most)s::int4, %(resolutions)s::text[], %(since)s::timestamptz[],
                 %(until)s::timestamptz[], %(sketches)s::text)
