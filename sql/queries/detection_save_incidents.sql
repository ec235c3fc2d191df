-- Keep incidents as they are now, with their series; the same again changes nothing, and feedback stays.
with given as (
  select * from jsonb_to_recordset(%(incidents)s::jsonb) as each (
    incident_id uuid, opened_us int8, closed_us int8, title text, score float8, head uuid, series_count int4,
    causes jsonb)
), kept as (
  insert into incidents (incident_id, opened_at, closed_at, title, score, head, series_count, causes)
  select incident_id, instant(opened_us), instant(closed_us), title, score, head, series_count, causes from given
  on conflict (incident_id) do update set
    closed_at = excluded.closed_at, updated_at = now(), title = excluded.title, score = excluded.score,
    head = excluded.head, series_count = excluded.series_count, causes = excluded.causes
  returning incident_id
), members as (
  select * from jsonb_to_recordset(%(series)s::jsonb) as each (
    incident_id uuid, fingerprint uuid, key jsonb, opened_us int8, closed_us int8, peak_us int8, score float8,
    value float8, expected float8, low float8, high float8, confidence float8, contributions jsonb, track jsonb)
)
insert into incident_series (
  incident_id, fingerprint, metric_name, tags, source_agent_id, instance_id, opened_at, closed_at, peak_at, score,
  value, expected, low, high, confidence, contributions, track)
select
  members.incident_id, fingerprint, key ->> 0, key -> 1, key ->> 2, key ->> 3, instant(opened_us), instant(closed_us),
  instant(peak_us), score, value, expected, low, high, confidence, contributions, track
from members join kept using (incident_id)
on conflict (incident_id, fingerprint) do update set
  opened_at = excluded.opened_at, closed_at = excluded.closed_at, peak_at = excluded.peak_at, score = excluded.score,
  value = excluded.value, expected = excluded.expected, low = excluded.low, high = excluded.high,
  confidence = excluded.confidence, contributions = excluded.contributions, track = excluded.track
