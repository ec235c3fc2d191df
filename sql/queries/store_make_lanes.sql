-- Lanes of a table that was emptied.
insert into load_lanes (lane) select unnest(%(lanes)s::int4[]) on conflict do nothing
