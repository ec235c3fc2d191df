-- What each receiver knows.
select group_key, receiver, alerts, epoch_us(first_at) as first_us, epoch_us(told_at) as told_us, told_count
from alert_groups
