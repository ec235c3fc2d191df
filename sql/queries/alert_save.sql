-- Alerts as they are now, many at once; what people said of them is not touched.
insert into alerts (alert_id, rule, fingerprint, labels, extra_labels, severity, state, origin, value, limit_value,
                    summary, description, runbook, no_data, flapping, started_at, fired_at, resolved_at, ends_at,
                    evaluated_at, since_us, clear_since_us, annotations, source_url)
select alert_id, rule, fingerprint, labels, extra_labels, severity, state, origin, value, limit_value,
       summary, description, runbook, no_data, flapping, instant(started_us), instant(fired_us), instant(resolved_us),
       instant(ends_us), instant(at_us), since_us, clear_since_us, annotations, source_url
from jsonb_to_recordset(%(alerts)s::jsonb) as given (
  alert_id uuid, rule text, fingerprint text, labels jsonb, extra_labels jsonb, severity text, state text, origin text,
  value float8, limit_value float8, summary text, description text, runbook text, no_data bool, flapping bool,
  started_us int8, fired_us int8, resolved_us int8, ends_us int8, at_us int8, since_us int8[], clear_since_us int8,
  annotations jsonb, source_url text)
on conflict (alert_id) do update set
  severity = excluded.severity, state = excluded.state, value = excluded.value, limit_value = excluded.limit_value,
  summary = excluded.summary, description = excluded.description, runbook = excluded.runbook,
  no_data = excluded.no_data, flapping = excluded.flapping, fired_at = excluded.fired_at,
  resolved_at = excluded.resolved_at, ends_at = excluded.ends_at, evaluated_at = excluded.evaluated_at,
  since_us = excluded.since_us, clear_since_us = excluded.clear_since_us, extra_labels = excluded.extra_labels,
  annotations = excluded.annotations, source_url = excluded.source_url
