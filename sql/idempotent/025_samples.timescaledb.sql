-- Take out samples whose value was replaced, of a stretch of time that holds them all; returns how many.
-- Series by series, as constants: in the columnstore only the batches of that series are then unpacked. The
-- limit on unpacked rows is lifted for this transaction: a load is bounded by its own size.
create or replace function store_delete_samples(
  series_ids int4[], instants_us int8[], since timestamptz, until timestamptz
) returns int8
language plpgsql as $$
declare
  one record;
  gone int8;
  total int8 := 0;
begin
  perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
  for one in
    select series_id, array_agg(instant(at_us)) as instants
    from unnest(series_ids, instants_us) as replaced (series_id, at_us) group by series_id
  loop
    execute format('delete from scaled_samples where series_id = %s and at >= %L and at <= %L and at = any(%L)',
                   one.series_id, since, until, one.instants);
    get diagnostics gone = row_count;
    total := total + gone;
  end loop;
  return total;
end $$;

-- Lock the chunks of the days of these instants as writing will. Compressing one first lets readers be and then wants it
-- alone: a load that had read there before that, and wrote after, would wait for the compression, and that for the load.
-- In the order in which plans lock chunks. A chunk spans no midnight.
create or replace function store_hold_samples(instants_us int8[]) returns void
language plpgsql as $$
declare
  chunk text;
begin
  for chunk in
    select format('%I.%I', nspname, relname)
    from (select distinct date_bin('24 hours', instant(at_us), 'epoch') as day from unnest(instants_us) at_us) days,
         show_chunks('scaled_samples', newer_than => day, older_than => day + interval '24 hours') chunks (name)
    join pg_class on pg_class.oid = chunks.name
    join pg_namespace on pg_namespace.oid = relnamespace
    order by pg_class.oid
  loop
    execute format('lock table only %s in row exclusive mode', chunk);
  end loop;
end $$;

-- The width of raw chunks to come, and when a chunk, of rollups too, goes into the columnstore.
create or replace function store_tune(chunk_hours int4, columnstore_after_hours int4) returns void
language plpgsql as $$
declare
  after interval := make_interval(hours => columnstore_after_hours);
begin
  perform set_chunk_time_interval('scaled_samples', make_interval(hours => chunk_hours));
  if not exists (
    select from timescaledb_information.jobs
    where proc_name in ('policy_compression', 'policy_columnstore') and (config->>'compress_after')::interval = after
      and hypertable_schema = current_schema() and hypertable_name = 'scaled_samples')
  then
    perform remove_compression_policy('scaled_samples', if_exists => true);
    perform add_compression_policy('scaled_samples', compress_after => after);
  end if;
  perform alter_job(job_id, config => jsonb_build_object('schema', current_schema(), 'after', after))
  from timescaledb_information.jobs
  where proc_name = 'columnstore_pack' and proc_schema = current_schema()
    and (config->>'after')::interval is distinct from after;
end $$;
