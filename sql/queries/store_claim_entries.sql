-- Claim buffer entries for this transaction; returns those that nobody has loaded. Waits for a loader that is at it.
insert into loaded_entries (stream, entry_id)
select stream, entry_id from unnest(%(streams)s::text[], %(entry_ids)s::text[]) as claimed (stream, entry_id)
order by stream, entry_id
on conflict do nothing
returning stream, entry_id
