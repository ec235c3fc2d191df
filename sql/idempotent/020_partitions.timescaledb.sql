-- A partition here is what retention drops at once: the chunks of a table that begin in the same stretch of
-- partition_days since the epoch, named <table>_<first day>. TimescaleDB makes chunks when rows come.

create or replace function store_ensure_partitions(parent text, since timestamptz, until timestamptz) returns int4
language sql immutable parallel safe as $$ select 0 $$;

-- The hypertables behind the tables that retention knows.
create or replace function store_hypertables()
returns table (table_name text, partition_days int4, hypertable_schema name, hypertable_name name)
language sql stable as $$
  select state.table_name, state.partition_days,
         coalesce(rollup.materialization_hypertable_schema, current_schema()),
         coalesce(rollup.materialization_hypertable_name, 'scaled_samples')
  from retention_state state
  left join timescaledb_information.continuous_aggregates rollup
    on rollup.view_schema = current_schema() and rollup.view_name = state.table_name
$$;

create or replace function store_partitions()
returns table (table_name text, partition text, since timestamptz, until timestamptz, rows_estimate int8, bytes int8)
language sql stable as $$
  with tables as (
    select table_name, partition_days * interval '24 hours' as width, hypertable_schema, hypertable_name
    from store_hypertables()
  ), sizes as materialized (  -- of a table's chunks at once: asked chunk by chunk, all of them are read each time
    select size.* from tables,
    lateral chunks_detailed_size(format('%I.%I', tables.hypertable_schema, tables.hypertable_name)::regclass) size
  )
  select tables.table_name, tables.table_name || '_' || to_char(begins.since at time zone 'UTC', 'YYYYMMDD'),
         begins.since, greatest(begins.since + tables.width, max(chunk.range_end)),
         sum(greatest(approximate_row_count(relation.name), pg_stat_get_live_tuples(relation.name)))::int8,
         coalesce(sum(size.total_bytes), 0)::int8
  from tables
  join timescaledb_information.chunks chunk
    on chunk.hypertable_schema = tables.hypertable_schema and chunk.hypertable_name = tables.hypertable_name
  left join sizes size
    on size.chunk_schema = chunk.chunk_schema and size.chunk_name = chunk.chunk_name,
  -- Null: dropped or joined to another since this question began.
  lateral (select to_regclass(format('%I.%I', chunk.chunk_schema, chunk.chunk_name)) as name) relation,
  lateral (select date_bin(tables.width, chunk.range_start, timestamptz '1970-01-01 00:00:00+00') as since) begins
  group by tables.table_name, begins.since, tables.width
  order by tables.table_name, begins.since
$$;

-- What all partitions take. Of whole hypertables, by sizes that the server has at hand: chunk by chunk it takes as long as
-- the rest of the overview.
create or replace function store_bytes() returns int8 language sql stable as
$$ select coalesce(sum(hypertable_approximate_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)), 0)::int8
   from store_hypertables() $$;

-- drop_chunks() locks a chunk and waits for the next: a question that has read one of them and wants another would wait
-- for it, and it for the question. So it gets all of them at once or none, and looks again for as long as lock_timeout
-- says; only then it queues, which ends a vacuum that is at one of them.
create or replace procedure store_drop_partition(partition text)
language plpgsql as $$
declare
  parent text := left(partition, -9);
  held regclass := (case parent when 'raw_samples' then 'scaled_samples' else parent end)::regclass;
  since timestamptz := right(partition, 8)::date::timestamp at time zone 'UTC';
  width interval := (select partition_days * interval '24 hours' from retention_state where table_name = parent);
  queues timestamptz := clock_timestamp() + current_setting('lock_timeout')::interval;
  chunk text;
begin
  while clock_timestamp() < queues loop
    begin
      for chunk in
        select format('%I.%I', nspname, relname)
        from show_chunks(held, older_than => since + width, newer_than => since) chunks (name)
        join pg_class on pg_class.oid = chunks.name
        join pg_namespace on pg_namespace.oid = relnamespace
        order by pg_class.oid
      loop
        execute format('lock table only %s in access exclusive mode nowait', chunk);
      end loop;
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.02);
    end;
  end loop;
  perform drop_chunks(held, older_than => since + width, newer_than => since);
end $$;
