-- What the detector has learned, what it found, and the models it uses.

-- The detector's memory in pieces, all of one saving: a piece of another saving is none.
create table detector_state (
  detector text not null,
  piece int4 not null,
  pieces int4 not null,
  saved_us int8 not null,
  body bytea not null,
  primary key (detector, piece)
);

-- Up to when a detector has judged and told of it, noted with the incidents of each step: who takes over judges from
-- here on, and only learns what lies before.
create table detector_progress (
  detector text primary key,
  judged_us int8 not null
);

-- Anomalies on many series that belong together. useful: what people said of it.
create table incidents (
  incident_id uuid primary key,
  opened_at timestamptz not null,
  closed_at timestamptz,
  updated_at timestamptz not null default now(),
  title text not null,
  score float8 not null,
  head uuid not null,
  series_count int4 not null,
  causes jsonb not null,
  useful boolean,
  note text,
  feedback_at timestamptz
);
create index incidents_opened_at on incidents (opened_at desc);
create index incidents_open on incidents (incident_id) where closed_at is null;

-- The series of an incident, each with its peak: what was seen, what was expected, which views contributed.
-- What is judged need not be a stored series, so its identity is here and not in `series`.
create table incident_series (
  incident_id uuid not null references incidents on delete cascade,
  fingerprint uuid not null,
  metric_name text not null,
  tags jsonb not null,
  source_agent_id text not null,
  instance_id text not null,
  opened_at timestamptz not null,
  closed_at timestamptz,
  peak_at timestamptz not null,
  score float8 not null,
  value float8 not null,
  expected float8 not null,
  low float8 not null,
  high float8 not null,
  confidence float8 not null,
  contributions jsonb not null,
  track jsonb not null,
  primary key (incident_id, fingerprint)
);
comment on column incident_series.track is '[[at_us, value, expected, low, high], ...] while it lasted';

-- Trained models. status: "candidate" was not better, "in use" is asked now, "retired" was, and can come back.
create table models (
  model_id int8 generated always as identity primary key,
  kind text not null,
  trained_at timestamptz not null default now(),
  data_since timestamptz not null,
  data_until timestamptz not null,
  status text not null check (status in ('candidate', 'in use', 'retired')),
  status_at timestamptz not null default now(),
  reason text not null,
  figures jsonb not null,
  body bytea not null
);
create unique index models_in_use on models (kind) where status = 'in use';
