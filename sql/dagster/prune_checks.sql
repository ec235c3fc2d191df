-- Check results of these runs, except each check's (and partition's) latest.
delete from asset_check_executions old
where run_id = any(:run_ids)
  and exists (
    select from asset_check_executions later
    where later.asset_key = old.asset_key and later.check_name = old.check_name
      and later.partition is not distinct from old.partition and later.id > old.id)
