-- Who wrote last to each sixteenth of the series (by fingerprint): a writer that finds its own turn here knows the
-- newest sample of every series there from memory. Loads of one lane come one after the other.
create table load_lanes (
  lane int4 primary key,
  writer uuid,
  turn int8 not null default 0,
  unflushed_us int8
);
-- All of them at once: two loads that made the lanes they miss would wait for each other.
insert into load_lanes (lane) select generate_series(0, 15);
comment on column load_lanes.unflushed_us is
  'epoch microseconds: samples up to here may be newer than what latest_samples says; null: none is';
