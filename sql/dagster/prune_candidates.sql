-- Runs that ended before :before and left nothing undone: a partition whose last attempt failed keeps its run.
select runs.run_id
from runs
where runs.status in ('SUCCESS', 'FAILURE', 'CANCELED') and runs.update_timestamp < :before
  and (runs.status = 'SUCCESS' or not exists (
    select from event_logs planned
    where planned.run_id = runs.run_id and planned.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'
      and not exists (
        select from event_logs made
        where made.asset_key = planned.asset_key and made.partition is not distinct from planned.partition
          and made.dagster_event_type = 'ASSET_MATERIALIZATION' and made.id > planned.id)))
order by runs.id
limit :runs
