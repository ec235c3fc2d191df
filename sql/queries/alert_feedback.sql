-- Whether an alert was useful.
update alerts set useful = %(useful)s, feedback_by = %(by)s, feedback_note = %(note)s, feedback_at = now()
where alert_id = %(alert_id)s and fired_at is not null
