-- Alerts that were open at some time in the window, as of the snapshot.
create table alerts (
  alert_id varchar primary key, rule varchar, labels json, severity varchar, state varchar, origin varchar,
  value double, limit_value double, summary varchar, no_data boolean, flapping boolean, started_at timestamptz,
  fired_at timestamptz, resolved_at timestamptz, acknowledged_at timestamptz, acknowledged_by varchar,
  useful boolean, feedback_note varchar);
comment on table alerts is 'one row an episode of an alert, from pending to resolved';
comment on column alerts.labels is 'labels of the series or group, and those that the rule adds';
comment on column alerts.severity is 'the most recent: info, warning or critical';
comment on column alerts.state is 'pending (bad, not long enough), firing, or resolved';
comment on column alerts.origin is 'rule, or alertmanager: sent to us from outside';
comment on column alerts.value is 'the figure that was judged last';
comment on column alerts.limit_value is 'the level that it was judged by';
comment on column alerts.no_data is 'it fires because nothing came, by the rule''s policy';
comment on column alerts.flapping is 'it came and went so often that its end was held back';
comment on column alerts.started_at is 'since when it has been bad';
comment on column alerts.fired_at is 'null where it was only pending';
comment on column alerts.useful is 'what people said of it; null: nothing';
