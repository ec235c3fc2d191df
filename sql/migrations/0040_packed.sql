-- Closed rollup buckets as reads want them: a row holds all buckets of one series over one span, in order of time,
-- 48 bytes each (docs/decisions/0040-packed-rollups.md). Rollup rows stay what is true; sql/idempotent/055_packed.sql
-- keeps these equal to them.

create table packed_state (
  resolution text primary key,
  span interval not null,
  step interval not null,
  packed_until timestamptz not null default 'epoch'
);
comment on column packed_state.span is 'how much one row holds once it is whole';
comment on column packed_state.step is 'how much is added to it at once';
comment on column packed_state.packed_until is 'what begins before it is packed, as far as there are rows';
-- A row stays below 2 kB, where PostgreSQL would begin to compress it.
insert into packed_state (resolution, span, step) values
  ('1min', '15 minutes', '15 minutes'), ('5min', '3 hours', '30 minutes'), ('1hour', '24 hours', '1 hour');

create table packed_1min (
  since timestamptz not null,
  series_id int4 not null,
  points bytea not null,
  primary key (series_id, since)
);
-- For a window of all series: a btree would be taken for questions about a few of them as well, and find them all.
create index packed_1min_since on packed_1min using brin (since) with (pages_per_range = 16, autosummarize = on);
create table packed_5min (like packed_1min including indexes);
create table packed_1hour (like packed_1min including indexes);

-- Their sketches beside them, for steps of several buckets and for several series together: of each bucket how many words
-- it has, and all words, four bytes each (sketch_packed() makes them). In tables of their own, so that what needs no
-- sketch reads none; a row stays in one piece up to 8 kB, uncompressed.
create table packed_sketches_1min (
  since timestamptz not null,
  series_id int4 not null,
  lengths bytea not null,
  words bytea not null,
  primary key (series_id, since)
) with (toast_tuple_target = 8160);
alter table packed_sketches_1min alter column lengths set storage external, alter column words set storage external;
create index packed_sketches_1min_since on packed_sketches_1min
  using brin (since) with (pages_per_range = 16, autosummarize = on);
create table packed_sketches_5min (like packed_sketches_1min including indexes including storage)
  with (toast_tuple_target = 8160);
create table packed_sketches_1hour (like packed_sketches_1min including indexes including storage)
  with (toast_tuple_target = 8160);

-- What growth of counters is made of, of buckets that have single samples (packed_growth() makes them): questions about
-- days want so many of them that finding their rows takes longer than all else. Minutes are left in their rows, where
-- they are most of the space.
create table packed_growth_5min (like packed_1min including indexes);
create table packed_growth_1hour (like packed_1min including indexes);
