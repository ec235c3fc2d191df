-- Take out samples whose value was replaced, of a stretch of time that holds them all; returns how many.
create or replace function store_delete_samples(
  series_ids int4[], instants_us int8[], since timestamptz, until timestamptz
) returns int8
language sql as $$
  with gone as (
    delete from raw_samples raw
    using unnest(series_ids, instants_us) as replaced (series_id, at_us)
    where raw.series_id = replaced.series_id and raw.at = instant(replaced.at_us) and raw.at between since and until
    returning 1
  )
  select count(*) from gone
$$;

-- Nothing here takes a partition's lock away from those who read it, and wants more then.
create or replace function store_hold_samples(instants_us int8[]) returns void
language sql immutable as $$ select $$;

-- Chunks and the columnstore are TimescaleDB's.
create or replace function store_tune(chunk_hours int4, columnstore_after_hours int4) returns void
language sql immutable as $$ select $$;
