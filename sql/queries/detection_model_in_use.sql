-- The model in use, if it is another one than is known.
select model_id, body from models where kind = %(kind)s and status = 'in use' and model_id <> %(known)s
