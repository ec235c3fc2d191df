-- Open alerts of which others have said something: sent to us from outside, or acknowledged.
select alert_id::text, rule, fingerprint, labels, extra_labels, severity, state, origin, value, limit_value, summary,
       description, runbook, no_data, flapping, epoch_us(started_at) as started_us, epoch_us(fired_at) as fired_us,
       epoch_us(resolved_at) as resolved_us, epoch_us(ends_at) as ends_us, epoch_us(evaluated_at) as at_us,
       since_us, clear_since_us, epoch_us(acknowledged_at) as acknowledged_us, acknowledged_by,
       annotations, source_url
from alerts
where state <> 'resolved' and (origin <> 'rule' or acknowledged_at is not null)
