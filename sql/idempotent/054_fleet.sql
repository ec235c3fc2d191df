-- The newest minutes of all series together: made when the watermark passes them, made anew when a late sample changes
-- them, read by read_overview(). What is older is in rollup_1min alone.

create or replace function fleet_kept() returns interval language sql immutable parallel safe as $$ select interval '2 hours' $$;

-- A series in a minute, 28 bytes; muninn/reads/changes.py reads them.
create or replace function fleet_point(series_id int4, sample_count int8, sum_value float8, min_value float8) returns bytea
language sql immutable parallel safe as
$$ select int4send(series_id) || int8send(sample_count) || float8send(sum_value) || float8send(min_value) $$;

-- Make the minutes of a window, of these parts or (null) of all.
create or replace procedure fleet_add(since timestamptz, until timestamptz, parts int4[])
language plpgsql set plan_cache_mode = force_custom_plan as $$
begin
  insert into fleet_minutes
  select bucket, series_id / 1024,
         string_agg(fleet_point(series_id, sample_count, sum_value, min_value), ''::bytea)
  from rollup_1min
  where bucket >= since and bucket < until and (parts is null or series_id / 1024 = any(parts))
  group by 1, 2;
end $$;

-- Go on to where the minutes are closed, and forget what is too old.
create or replace procedure fleet_extend()
language plpgsql as $$
declare
  target timestamptz := (select watermark from rollup_state where resolution = '1min');
  least_kept timestamptz := target - fleet_kept();
  held fleet_state := (select state from fleet_state state);
  start timestamptz := greatest(held.kept_until, least_kept);
begin
  if start >= target then
    return;
  end if;
  delete from fleet_minutes where bucket < least_kept;
  call fleet_add(start, target, null);
  insert into fleet_state as state values (least_kept, target)
  on conflict (only_row) do update set kept_from = greatest(state.kept_from, least_kept), kept_until = target;
end $$;

-- Minutes of a window were computed anew, of some series or (null) of all.
create or replace procedure fleet_renew(since timestamptz, until timestamptz, series_ids int4[])
language plpgsql as $$
declare
  held fleet_state := (select state from fleet_state state);
  parts int4[] := case when series_ids is not null then array(select distinct id / 1024 from unnest(series_ids) id) end;
  first timestamptz := greatest(since, held.kept_from);
  past timestamptz := least(until, held.kept_until);
begin
  if held is not null and first < past then
    delete from fleet_minutes where bucket >= first and bucket < past and (parts is null or part = any(parts));
    call fleet_add(first, past, parts);
  end if;
end $$;
