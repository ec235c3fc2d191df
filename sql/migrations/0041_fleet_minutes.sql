-- The newest minutes once more, a row a minute of all series: what changed most across the fleet is found among them
-- (docs/decisions/0040-packed-rollups.md). sql/idempotent/054_fleet.sql keeps them equal to rollup_1min.

create table fleet_minutes (
  bucket timestamptz not null,
  part int4 not null,
  points bytea not null,
  primary key (bucket, part)
);
comment on column fleet_minutes.part is 'series_id / 1024: a late sample renews no more of a minute';
comment on column fleet_minutes.points is '28 bytes a series: series_id, sample_count, sum_value, min_value';
-- Compressing doubles takes longer than it saves.
alter table fleet_minutes alter column points set storage external;

create table fleet_state (
  kept_from timestamptz not null,
  kept_until timestamptz not null,
  only_row bool primary key default true check (only_row)
);
comment on table fleet_state is 'fleet_minutes has the minutes from kept_from on and before kept_until; no row: none yet';
