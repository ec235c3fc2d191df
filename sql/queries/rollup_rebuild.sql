-- Recompute one resolution over a window, of some series or (null) of all; returns its rows.
select rollup_rebuild(%(resolution)s::text, %(source)s::text, instant(%(since_us)s::int8), instant(%(until_us)s::int8),
                      %(series_ids)s::int4[]) as rows
