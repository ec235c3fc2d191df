-- What the detector said in a window, by steps of a width: of each series the highest score of a step, and its instant.
with told as (
  select (epoch_us(until) + %(width_us)s::int8 - 1) / %(width_us)s::int8 as step, scored_id, epoch_us(at) as at_us, score
  from score_history, unnest(scored_ids, ats, scores) as each (scored_id, at, score)
  where until >= instant(%(since_us)s) and until < instant(%(until_us)s)
), highest as (
  select distinct on (step, scored_id) step, scored_id, at_us, score
  from told
  order by step, scored_id, score desc
)
select array_send(array_agg(step order by step, scored_id)) as step,
       array_send(array_agg(scored_id order by step, scored_id)) as scored_id,
       array_send(array_agg(at_us order by step, scored_id)) as at_us,
       array_send(array_agg(score::float8 order by step, scored_id)) as score
from highest
