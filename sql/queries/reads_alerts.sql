-- Alerts for people: open ones, or those that fired in a window; newest first, and on from one of them.
select alert_id::text, rule, fingerprint, labels, series_labels, severity, state, origin, value, limit_value, summary, description,
       runbook, no_data, flapping, epoch_us(started_at) as started_us, epoch_us(fired_at) as fired_us,
       epoch_us(resolved_at) as resolved_us, epoch_us(ends_at) as ends_us, epoch_us(evaluated_at) as at_us,
       muted_by, muted_which, epoch_us(muted_until) as muted_until_us, epoch_us(acknowledged_at) as acknowledged_us,
       acknowledged_by, useful, feedback_by, feedback_note, annotations, source_url
from alert_history
where state = any(%(states)s)
  and (state <> 'resolved' or fired_at is not null)
  and (state <> 'resolved' or coalesce(resolved_at, started_at) >= %(since)s)
  and (%(rule)s::text is null or rule = %(rule)s::text)
  and (
    %(before_us)s::bigint is null
    or coalesce(fired_at, started_at) < instant(%(before_us)s)
    or (coalesce(fired_at, started_at) = instant(%(before_us)s) and alert_id > %(after_id)s::uuid)
  )
order by coalesce(fired_at, started_at) desc, alert_id
limit %(max_alerts)s
