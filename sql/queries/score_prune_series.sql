-- Series whose scores are all of long ago.
delete from scored_series where last_until < %(before)s::timestamptz - interval '1 hour'
