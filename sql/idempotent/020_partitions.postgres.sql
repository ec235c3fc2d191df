-- Native partitions, named <table>_<first day>, all starting at multiples of their width since the epoch.

create or replace function store_partition_start(parent text, at timestamptz) returns timestamptz
language sql stable parallel safe as
$$ select date_bin(partition_days * interval '24 hours', at, timestamptz '1970-01-01 00:00:00+00')
   from retention_state where table_name = parent $$;

-- Make what is missing of the partitions that hold [since, until); returns how many were made. A table is
-- made first and attached then: that waits for no reader and no writer of the parent.
create or replace function store_ensure_partitions(parent text, since timestamptz, until timestamptz) returns int4
language plpgsql as $$
declare
  made int4 := 0;
  step interval := (select partition_days * interval '24 hours' from retention_state where table_name = parent);
  start timestamptz := store_partition_start(parent, since);
  child text;
begin
  while start < until loop
    child := parent || '_' || to_char(start at time zone 'UTC', 'YYYYMMDD');
    if to_regclass(child) is null then
      perform pg_advisory_xact_lock(8480, 2);  -- one maker at a time
      -- Asked of the table, not of to_regclass() again: waiting for this lock does not renew what that has cached.
      if not exists (select from pg_inherits join pg_class on oid = inhrelid
                     where inhparent = parent::regclass and relname = child) then
        execute format('create table %I (like %I including defaults including constraints)', child, parent);
        execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                       parent, child, start, start + step);
        made := made + 1;
      end if;
    end if;
    start := start + step;
  end loop;
  return made;
end $$;

create or replace function store_partitions()
returns table (table_name text, partition text, since timestamptz, until timestamptz, rows_estimate int8, bytes int8)
language sql stable as $$
  select state.table_name, child.relname::text, bounds.since, bounds.since + state.partition_days * interval '24 hours',
         greatest(child.reltuples::int8, pg_stat_get_live_tuples(child.oid)), pg_total_relation_size(child.oid)
  from retention_state state
  join pg_inherits on inhparent = to_regclass(state.table_name)
  join pg_class child on child.oid = inhrelid,
  lateral (select right(child.relname, 8)::date::timestamp at time zone 'UTC' as since) bounds
  order by state.table_name, bounds.since
$$;

-- What all partitions take.
create or replace function store_bytes() returns int8 language sql stable as
$$ select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::int8
   from retention_state join pg_inherits on inhparent = to_regclass(table_name) $$;

create or replace procedure store_drop_partition(partition text)
language plpgsql as $$ begin execute format('drop table if exists %I', partition); end $$;
