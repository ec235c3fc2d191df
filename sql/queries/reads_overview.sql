-- The fleet: a row with how much there is, how fresh it is, how far the rollups are, and the busiest hosts; then the
-- minutes of every series since an instant, among which what changed most is found.
select state, at_us, points from read_overview(%(now)s, %(since)s, %(alive_since)s, %(max_hosts)s::int4)
