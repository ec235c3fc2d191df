-- Incidents that were open at some time in a window, the newest first. state: "open", "closed" or "all".
select
  incident_id, epoch_us(opened_at) as opened_us, epoch_us(closed_at) as closed_us, title, score, head, series_count,
  causes, useful, note
from incidents
where opened_at < instant(%(until_us)s)
  and (closed_at is null or closed_at >= instant(%(since_us)s))
  and (%(state)s = 'all' or (closed_at is null) = (%(state)s = 'open'))
order by opened_at desc, incident_id
limit %(most)s
