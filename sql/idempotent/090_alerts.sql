-- What people query of alerts: plain columns, times as instants, labels in one.
drop view if exists alert_history cascade;
create view alert_history as
select alert_id, rule, fingerprint, extra_labels || labels as labels, labels as series_labels, severity, state, origin, value, limit_value,
       summary, description, runbook, no_data, flapping, started_at, fired_at, resolved_at, ends_at, evaluated_at,
       extract(epoch from coalesce(resolved_at, now()) - fired_at) as duration_s,
       muted_by, muted_which, muted_until, acknowledged_at, acknowledged_by, useful, feedback_by, feedback_note, feedback_at,
       annotations, source_url
from alerts;
