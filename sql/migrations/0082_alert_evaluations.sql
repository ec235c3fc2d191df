-- How each rule did, an hour a row: what the lineage graph and the noise report are made of.
create table alert_evaluations (
  rule text not null,
  hour timestamptz not null,
  evaluations int8 not null,
  instances int8 not null,
  fired int8 not null,
  resolved int8 not null,
  seconds float8 not null,
  primary key (rule, hour)
);
comment on column alert_evaluations.instances is 'the most series or groups that it looked at at once';
