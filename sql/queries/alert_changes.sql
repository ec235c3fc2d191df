-- When alerts came and went lately: how much each flaps.
select fingerprint, array_agg(epoch_us(instant) order by instant) as instants
from alerts, unnest(array[fired_at, resolved_at]) instant
where fired_at >= %(since)s::timestamptz - interval '1 day' and instant >= %(since)s
group by fingerprint
