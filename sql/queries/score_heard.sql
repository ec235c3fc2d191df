-- The steps of a width of which the detector said something, be it that nothing is odd.
select array_send(array_agg(distinct (epoch_us(until) + %(width_us)s::int8 - 1) / %(width_us)s::int8)) as step
from score_history
where until >= instant(%(since_us)s) and until < instant(%(until_us)s)
