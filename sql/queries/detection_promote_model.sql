-- A model is in use from now on.
update models set status = 'in use', status_at = now(), reason = %(reason)s
where kind = %(kind)s and model_id = %(model_id)s
