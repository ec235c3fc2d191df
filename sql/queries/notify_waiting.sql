-- Notifications that are not sent yet, oldest first.
select notification_key, receiver, group_key, group_labels, why, alerts, attempts, epoch_us(created_at) as created_us,
       epoch_us(next_at) as next_us
from notifications
where state = 'waiting'
order by created_at, notification_key
limit 10000
