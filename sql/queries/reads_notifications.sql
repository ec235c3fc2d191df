-- The notify log, newest first, and on from one line of it.
select notification_key, receiver, why, state, attempts, last_error, epoch_us(created_at) as created_us,
       epoch_us(sent_at) as sent_us, epoch_us(next_at) as next_us, jsonb_array_length(alerts) as alert_count,
       alerts -> 0 ->> 'summary' as summary
from notifications
where created_at >= %(since)s
  and (
    %(before_us)s::bigint is null
    or created_at < instant(%(before_us)s)
    or (created_at = instant(%(before_us)s) and notification_key > %(after_id)s::text)
  )
order by created_at desc, notification_key
limit %(max_rows)s
