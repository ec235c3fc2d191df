-- These changes are in the files now.
delete from cold_changes where change_id = any(%(change_ids)s::int8[])
