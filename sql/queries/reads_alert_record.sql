-- What became of each rule's alerts: how many, how short, how useful.
select rule, count(*) as fired,
       count(*) filter (where resolved_at - fired_at < interval '5 minutes') as short,
       count(*) filter (where useful) as useful, count(*) filter (where not useful) as not_useful,
       count(*) filter (where acknowledged_at is not null) as acknowledged,
       count(*) filter (where flapping) as flapping,
       percentile_cont(0.5) within group (order by extract(epoch from resolved_at - fired_at))::float8 as median_s
from alerts
where fired_at >= %(since)s and fired_at < %(until)s
group by rule
order by count(*) desc, rule
