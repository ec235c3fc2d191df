-- Which entries of a stream are in.
select entry_id from loaded_entries where stream = %(stream)s::text
