-- Events of these runs, except what tells the state of an asset, a partition or a check: its latest.
delete from event_logs old
where run_id = any(:run_ids)
  and not (dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
    and not exists (
      select from event_logs later
      where later.asset_key = old.asset_key and later.dagster_event_type = old.dagster_event_type
        and later.partition is not distinct from old.partition and later.id > old.id))
  and not (dagster_event_type = 'ASSET_CHECK_EVALUATION'
    and old.id in (select evaluation_event_storage_id from asset_check_executions where run_id = any(:run_ids)))
