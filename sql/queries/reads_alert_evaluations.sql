-- How rules did, by rule and hour.
select rule, epoch_us(hour) as hour_us, evaluations, instances, fired, resolved, seconds
from alert_evaluations
where hour >= %(since)s and hour < %(until)s
order by rule, hour
