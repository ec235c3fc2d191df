-- New series by step of time, and how many there were before.
with stepped as (
  select date_bin(%(step)s::interval, created_at, 'epoch') as step, count(*)::int8 as new
  from series where created_at >= %(since)s group by 1
)
select (select count(*)::int8 from series where created_at < %(since)s) as before,
       array_send(array_agg((extract(epoch from step) * 1000)::int8 order by step)) as at_ms,
       array_send(array_agg(new order by step)) as new
from stepped
