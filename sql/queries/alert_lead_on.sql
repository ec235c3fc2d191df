-- Lead on for a while; no row: somebody else has taken the lead.
update alert_leader set until = clock_timestamp() + make_interval(secs => %(lease_s)s)
where term = %(term)s and leader = %(leader)s
returning term
