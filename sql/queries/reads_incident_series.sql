-- The series of one incident, the first and the worst first.
select
  fingerprint, metric_name, tags, source_agent_id, instance_id, epoch_us(opened_at) as opened_us,
  epoch_us(closed_at) as closed_us, epoch_us(peak_at) as peak_us, score, value, expected, low, high, confidence,
  contributions, track
from incident_series
where incident_id = %(incident_id)s
order by opened_at, score desc
