-- All models of a kind, the newest first, without their bodies.
select model_id, epoch_us(trained_at) as trained_us, epoch_us(data_since) as since_us,
  epoch_us(data_until) as until_us, status, epoch_us(status_at) as status_us, reason, figures,
  octet_length(body) as bytes
from models where kind = %(kind)s order by model_id desc
