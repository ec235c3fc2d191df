-- Alerts: one row an episode, from pending to resolved; what people said of them; who must not be told.

create table alerts (
  alert_id uuid primary key,
  rule text not null,
  fingerprint text not null,
  labels jsonb not null,
  extra_labels jsonb not null,
  severity text not null,
  state text not null check (state in ('pending', 'firing', 'resolved')),
  origin text not null default 'rule',
  value float8,
  limit_value float8,
  summary text not null,
  description text not null,
  runbook text not null,
  annotations jsonb not null default '{}',
  source_url text not null default '',
  no_data bool not null default false,
  flapping bool not null default false,
  started_at timestamptz not null,
  fired_at timestamptz,
  resolved_at timestamptz,
  ends_at timestamptz,
  evaluated_at timestamptz not null,
  since_us int8[] not null default '{}',
  clear_since_us int8 not null default 0,
  muted_by text not null default '',
  muted_which text not null default '',
  muted_until timestamptz,
  acknowledged_at timestamptz,
  acknowledged_by text not null default '',
  useful bool,
  feedback_by text not null default '',
  feedback_note text not null default '',
  feedback_at timestamptz
);
comment on column alerts.fingerprint is 'names the rule and its labels: the same for every episode';
comment on column alerts.origin is 'rule, or alertmanager: sent to us from outside';
comment on column alerts.annotations is 'of one from outside: all that came with it';
comment on column alerts.source_url is 'of one from outside: where it was made';
comment on column alerts.ends_at is 'an alert from outside ends then unless it is sent again';
comment on column alerts.since_us is 'per level of the rule, since when it is bad (0: it is not)';
comment on column alerts.muted_by is 'why it is not told now: silence, maintenance, inhibition; empty: it is';
create index alerts_open on alerts (fingerprint) where state <> 'resolved';
create index alerts_fired_at on alerts (fired_at) where fired_at is not null;

create table silences (
  silence_id uuid primary key default gen_random_uuid(),
  matchers jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at >= starts_at),
  created_by text not null,
  comment text not null,
  created_at timestamptz not null default now()
);
create index silences_ends_at on silences (ends_at);

-- Rules made through the API; those in files are not here.
create table alert_rules (
  name text primary key,
  body jsonb not null,
  changed_by text not null default '',
  changed_at timestamptz not null default now()
);
