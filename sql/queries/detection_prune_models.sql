-- Drop the oldest models beyond so many; the one in use always stays.
delete from models where kind = %(kind)s and status <> 'in use' and model_id not in (
  select model_id from models where kind = %(kind)s order by model_id desc limit %(most)s)
