-- Buckets of some series over some pieces of time up to this second, packed where they can be: what trends and
-- comparisons are made of.
select piece.place::int4 as piece, found.from_us, found.series, found.bytes_each, found.points, found.sketch_length,
       found.sketch
from unnest(%(resolutions)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[])
    with ordinality as piece (resolution, since, until, place),
  lateral read_points(piece.resolution, %(series)s::int4[], piece.since, piece.until, %(sketches)s::text) as found
where found.points is not null
