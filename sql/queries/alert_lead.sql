-- Take the lead for a while where it is free; no row: somebody else has it.
update alert_leader
set term = term + 1, leader = %(leader)s, since = clock_timestamp(),
    until = clock_timestamp() + make_interval(secs => %(lease_s)s)
where until < clock_timestamp()
returning term
