-- Alerts that were open at some time in a window, for DuckDB.
select alert_id::text, rule, labels::text, severity, state, origin, value, limit_value, summary, no_data, flapping,
       started_at, fired_at, resolved_at, acknowledged_at, acknowledged_by, useful, feedback_note
from alert_history
where started_at < instant(%(until_us)s) and coalesce(resolved_at, 'infinity') >= instant(%(since_us)s)
order by started_at, alert_id
