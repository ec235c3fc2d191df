-- How many alerts of the last days people found useful, and how many not.
select count(*) filter (where useful) as useful, count(*) filter (where not useful) as not_useful
from alerts
where fired_at >= %(since)s
