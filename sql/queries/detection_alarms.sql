-- The series that were in an incident at some time in a window, and from when to when.
select metric_name, tags, source_agent_id, instance_id, epoch_us(opened_at) as opened_us,
       epoch_us(closed_at) as closed_us
from incident_series
where opened_at < instant(%(until_us)s) and coalesce(closed_at, 'infinity') >= instant(%(since_us)s)
