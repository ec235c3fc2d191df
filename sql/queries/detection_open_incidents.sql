-- The incidents that are not over, a row a series: what a detector goes on with after a restart.
select
  incident_id, epoch_us(incidents.opened_at) as opened_us, series_count, causes, fingerprint, metric_name, tags,
  source_agent_id, instance_id, epoch_us(each.opened_at) as member_opened_us,
  epoch_us(each.closed_at) as member_closed_us, epoch_us(peak_at) as peak_us, each.score, value, expected, low, high,
  confidence, contributions, track
from incidents join incident_series as each using (incident_id)
where incidents.closed_at is null
order by incidents.opened_at, each.opened_at
