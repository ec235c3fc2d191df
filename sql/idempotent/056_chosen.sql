-- Series chosen by metric and labels, and what is asked of them, in one answer: a round trip costs as much as finding
-- a few of them. Statements are planned once a session, as in read_points().

-- Beyond so many series nobody is sent all of them: they are chosen in order of their keys (reads_series.sql).
create or replace function most_chosen() returns int language sql immutable parallel safe as $$ select 10000 $$;

-- What changes when the table of series is another one, with other series of the same numbers.
create or replace function series_edition() returns int8
language sql stable parallel safe as $$ select pg_relation_filenode('series'::regclass)::int8 $$;

-- The first row has piece 0: in `series` the ids of all that match, in order, one more than most_chosen() at the most.
-- Then, where there are no more than `most`, their points over each piece (from 1), a resolution and a window, as
-- read_points() gives them.
drop function if exists read_chosen(text[], jsonb, text, text, timestamptz, int, text[], timestamptz[], timestamptz[], text);
create function read_chosen(
  metrics text[], labels jsonb, agent text, instance text, alive_since timestamptz, most int,
  resolutions text[], sinces timestamptz[], untils timestamptz[], sketches text
) returns table (
  piece int4, edition int8, from_us int8, series bytea, bytes_each bytea, points bytea, sketch_length bytea, sketch bytea
)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  ids int4[] := array(
    select s.series_id
    from series s join latest_samples l using (series_id)
    where s.metric_name = any(metrics) and l.at >= alive_since and s.tags @> labels
      and (agent is null or s.source_agent_id = agent) and (instance is null or s.instance_id = instance)
    order by s.series_id
    limit most_chosen() + 1);
begin
  return query select 0, series_edition(), null::int8, array_send(ids), null::bytea, null::bytea, null::bytea, null::bytea;
  if cardinality(ids) between 1 and most then
    for place in 1 .. cardinality(resolutions) loop
      return query
        select place, null::int8, found.*
        from read_points(resolutions[place], ids, sinces[place], untils[place], sketches) found
        where found.points is not null;
    end loop;
  end if;
end $$;

-- The newest samples in a window of the series that match, as arrays in order of id: one more than most_chosen() at the
-- most.
create or replace function read_latest(
  metrics text[], labels jsonb, agent text, instance text, since timestamptz, until timestamptz
) returns table (edition int8, series bytea, at bytea, value bytea)
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
    select series_edition(), array_send(array_agg(series_id order by series_id)),
           array_send(array_agg(at order by series_id)), array_send(array_agg(value order by series_id))
    from (
      select s.series_id, l.at, l.value
      from series s join latest_samples l using (series_id)
      where s.metric_name = any(metrics) and l.at >= since and l.at < until and s.tags @> labels
        and (agent is null or s.source_agent_id = agent) and (instance is null or s.instance_id = instance)
      limit most_chosen() + 1
    ) found;
end $$;
