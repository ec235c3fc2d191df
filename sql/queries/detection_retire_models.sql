-- The model in use is not in use any more.
update models set status = 'retired', status_at = now(), reason = %(reason)s
where kind = %(kind)s and status = 'in use' and model_id <> %(model_id)s
