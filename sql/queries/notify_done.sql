-- What became of notifications.
update notifications n set state = given.state, attempts = given.attempts, next_at = instant(given.next_us),
       sent_at = instant(given.sent_us), last_error = given.last_error
from jsonb_to_recordset(%(outcomes)s::jsonb) as given (
  notification_key text, state text, attempts int4, next_us int8, sent_us int8, last_error text)
where n.notification_key = given.notification_key and n.state = 'waiting'
