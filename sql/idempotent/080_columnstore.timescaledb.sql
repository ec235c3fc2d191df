-- The columnstore: TimescaleDB's own policy takes raw chunks a day after their end, when few late rows still come, and
-- once more when they did; columnstore_pack does the rest. store_tune() sets when.
select add_compression_policy('scaled_samples', compress_after => interval '24 hours', if_not_exists => true);

do $$
declare
  one text;
begin
  for one in
    select view_name from timescaledb_information.continuous_aggregates
    where view_schema = current_schema() and view_name like 'rollup%' and not compression_enabled
  loop
    execute format('alter materialized view %I set (timescaledb.enable_columnstore = true,'
                   ' timescaledb.segmentby = ''series_id'', timescaledb.orderby = ''bucket'')', one);
  end loop;
end $$;

-- Chunks of an hour hold 360 samples of a series at ten seconds, and each segment costs some hundred bytes by itself.
-- So when all of a day is in the columnstore its chunks become one, compressed anew in batches that hold a day of a
-- series: a third of the bytes (docs/decisions/0005-timescaledb.md). Chunks beside a gap stay apart. These are the
-- chunks to join: of a run of neighbours within a closed day, several, or one that was not packed yet. First those that
-- were never tried, then those whose last try is the longest ago: one that fails holds none up.
create or replace function columnstore_unpacked() returns setof text[]
language sql stable as $$
  with chunks as (
    select format('%I.%I', chunk_schema, chunk_name) as name, is_compressed, range_start, range_end,
           date_bin('24 hours', range_start, 'epoch') as day
    from timescaledb_information.chunks
    where hypertable_schema = current_schema() and hypertable_name = 'scaled_samples'
  ), ready as (
    select day from chunks group by day having bool_and(is_compressed) and day <= now() - interval '24 hours'
  ), neighbours as (
    select *, range_start = lag(range_end) over (partition by day order by range_start) as joined
    from chunks where day in (select day from ready)
  ), numbered as (
    select *, count(*) filter (where joined is not true) over (order by range_start) as number from neighbours
  ), runs as (
    select array_agg(name order by range_start) as names, min(range_start) as start from numbered group by number
  )
  select names from runs left join packed_chunks tried on tried.chunk = names[1]
  where cardinality(names) > 1 or tried.packed_at is null
  order by case when tried.packed_at is null then tried.tried_at end nulls first, start
$$;

-- Chunks of rollups that ended before an instant and have rows outside the columnstore (status: 1 compressed, 8 with
-- rows that came later).
create or replace function columnstore_rollups(before timestamptz) returns setof text
language sql stable as $$
  select format('%I.%I', chunk.chunk_schema, chunk.chunk_name)
  from store_hypertables() kept
  join timescaledb_information.chunks chunk
    on chunk.hypertable_schema = kept.hypertable_schema and chunk.hypertable_name = kept.hypertable_name
  join _timescaledb_catalog.chunk state
    on state.schema_name = chunk.chunk_schema and state.table_name = chunk.chunk_name
  left join packed_chunks tried on tried.chunk = format('%I.%I', chunk.chunk_schema, chunk.chunk_name)
  where kept.table_name like 'rollup%' and chunk.range_end <= before and state.status & 9 <> 1
  order by case when tried.packed_at is null then tried.tried_at end nulls first, chunk.range_start
$$;

-- Join neighbours, if they are several, and compress what they become; why it was given up, where it was. Merging takes
-- all of them for itself: in the order in which plans lock chunks, so that no question and it wait for each other.
create or replace function columnstore_pack_chunks(names text[], recompress bool) returns text
language plpgsql as $$
declare
  name text;
begin
  if cardinality(names) > 1 then
    for name in select each from unnest(names) each order by each::regclass::oid loop
      execute format('lock table only %s in access exclusive mode', name);
    end loop;
    call merge_chunks(names::regclass[]);
  end if;
  perform compress_chunk(names[1]::regclass, recompress => recompress);
  return null;
exception when others then  -- a lock that others hold for long, a chunk that is broken: the rest is not to wait for it
  return sqlerrm;
end $$;

-- One run of the job. config: schema; after: how long after its end a chunk of a rollup is compressed. Each chunk in a
-- transaction of its own, and noted before it: while loads and questions hold one for long, or where one fails, the
-- others are packed, and it is tried again by the next run, after them. The run ends as failed then.
create or replace procedure columnstore_pack(job_id int4, config jsonb)
language plpgsql as $$
declare
  work jsonb;
  names text[];
  raw bool;
  reason text;
  failures text[];
begin
  -- Muninn's schema, and that of the extension's functions.
  perform set_config('search_path', concat_ws(', ', quote_ident(config ->> 'schema'), (
            select quote_ident(nspname) from pg_extension join pg_namespace home on home.oid = extnamespace
            where extname = 'timescaledb')), false),
          set_config('lock_timeout', '5s', false);
  perform set_config(name, least(10000, max_val::int8)::text, false)
  from pg_settings where name = 'timescaledb.compression_batch_size_limit';
  -- Both join only what lies next to each other, and leave batches as small as they are.
  perform set_config('timescaledb.enable_in_memory_recompression', 'off', false),
          set_config('timescaledb.enable_segmentwise_recompression', 'off', false);
  delete from packed_chunks where to_regclass(chunk) is null;
  commit;
  foreach raw in array array[true, false] loop
    work := case when raw
      then (select coalesce(jsonb_agg(to_jsonb(each)), '[]') from columnstore_unpacked() each)
      else (select coalesce(jsonb_agg(jsonb_build_array(each)), '[]')
            from columnstore_rollups(now() - (config ->> 'after')::interval) each) end;
    for place in 0 .. jsonb_array_length(work) - 1 loop
      names := array(select jsonb_array_elements_text(work -> place));
      insert into packed_chunks (chunk) values (names[1])
      on conflict (chunk) do update set tried_at = now(), packed_at = null, failure = null;
      commit;
      reason := columnstore_pack_chunks(names, recompress => raw);
      update packed_chunks set packed_at = case when reason is null then now() end, failure = reason
      where chunk = names[1];
      failures := failures || (names[1] || ': ' || reason);
      commit;
    end loop;
  end loop;
  failures := array_remove(failures, null);
  if cardinality(failures) > 0 then
    raise exception 'chunks that were not packed: %', array_to_string(failures, '; ');
  end if;
end $$;

select add_job('columnstore_pack', interval '1 hour',
               jsonb_build_object('schema', current_schema(), 'after', interval '24 hours'), fixed_schedule => false)
where not exists (
  select from timescaledb_information.jobs where proc_name = 'columnstore_pack' and proc_schema = current_schema());
