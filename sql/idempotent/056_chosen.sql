-- Series chosen by metric and labels, and what is asked of them, in one answer: a round trip costs as much as finding
-- a few of them. Statements are planned once a session, as in read_points(), which chooses in the same way.

-- Beyond so many series nobody is sent all of them: they are chosen in order of their keys (reads_series.sql).
create or replace function most_chosen() returns int language sql immutable parallel safe as $$ select 10000 $$;

-- What changes when the table of series is another one, with other series of the same numbers.
create or replace function series_edition() returns int8
language sql stable parallel safe as $$ select pg_relation_filenode('series'::regclass)::int8 $$;

drop function if exists read_chosen(text[], jsonb, text, text, timestamptz, int, text[], timestamptz[], timestamptz[], text);

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
