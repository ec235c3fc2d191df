-- Someone looks after an alert, or (with null) no longer.
update alerts set acknowledged_at = instant(%(at_us)s), acknowledged_by = %(by)s
where alert_id = %(alert_id)s and state <> 'resolved'
