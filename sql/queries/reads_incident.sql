-- One incident, with its causes and what people said of it.
select
  incident_id, epoch_us(opened_at) as opened_us, epoch_us(closed_at) as closed_us, title, score, head, series_count,
  causes, useful, note
from incidents
where incident_id = %(incident_id)s
