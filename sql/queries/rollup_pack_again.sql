-- Buckets of a window were computed anew, of some series or (null) of all: what is packed follows.
call packed_renew(%(resolution)s::text, instant(%(since_us)s::int8), instant(%(until_us)s::int8), %(series_ids)s::int4[])
