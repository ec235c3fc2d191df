-- What the detector said, step by step, as alert rules saw it: rules on scores are run over the past from here.

-- What is scored need not be a stored series (the model of a host has a key of its own).
create table scored_series (
  scored_id int4 generated always as identity primary key,
  fingerprint uuid not null unique,
  metric_name text not null,
  tags jsonb not null,
  source_agent_id text not null,
  instance_id text not null,
  last_until timestamptz not null
);
comment on column scored_series.last_until is 'of its last score, or up to an hour before: not every score is noted';

-- A row an entry of the detector's log: scores of 0.4 and more, and those of open episodes; who is not in it scored
-- lower. until: everything up to then had been judged.
create table score_history (
  until timestamptz not null,
  entry text not null,
  scored_ids int4[] not null,
  ats timestamptz[] not null,
  scores float4[] not null,
  primary key (until, entry)
);
comment on column score_history.ats is 'the instants of the samples that were scored, one a score';
