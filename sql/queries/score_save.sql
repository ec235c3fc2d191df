-- Keep what the detector said; an entry that is there already is not kept twice.
with given as (
  select * from jsonb_to_recordset(%(rows)s::jsonb) as each (
    until_us int8, entry text, place int4, fingerprint uuid, at_us int8, score float4)
), entries as (
  select * from jsonb_to_recordset(%(entries)s::jsonb) as each (until_us int8, entry text)
), newest as (
  select coalesce(max(instant(until_us)), now()) as until from entries
), noted as (
  update scored_series set last_until = newest.until from newest
  where fingerprint in (select fingerprint from given) and last_until < newest.until - interval '1 hour'
), fresh as (
  insert into scored_series (fingerprint, metric_name, tags, source_agent_id, instance_id, last_until)
  select fingerprint, key ->> 0, key -> 1, key ->> 2, key ->> 3, (select until from newest)
  from jsonb_to_recordset(%(keys)s::jsonb) as each (fingerprint uuid, key jsonb)
  where not exists (select from scored_series as known where known.fingerprint = each.fingerprint)
  order by fingerprint
  on conflict (fingerprint) do nothing
  returning scored_id, fingerprint
), known as (
  select scored_id, fingerprint from fresh
  union all
  select scored_id, fingerprint from scored_series
  where fingerprint in (select fingerprint from given)
)
insert into score_history (until, entry, scored_ids, ats, scores)
select instant(entries.until_us), entries.entry,
       coalesce(array_agg(scored_id order by place) filter (where scored_id is not null), '{}'),
       coalesce(array_agg(instant(at_us) order by place) filter (where scored_id is not null), '{}'),
       coalesce(array_agg(score order by place) filter (where scored_id is not null), '{}')
from entries left join (given join known using (fingerprint)) as told using (until_us, entry)
group by entries.until_us, entries.entry
on conflict (until, entry) do nothing
