-- What the multivariate model is trained on: a minute of each place's features, every five minutes.
create table place_features (
  at timestamptz not null,
  place text not null,
  agent text not null,
  features jsonb not null,
  primary key (at, place)
);
comment on column place_features.features is 'feature -> value; what a place does not have is not in it';
