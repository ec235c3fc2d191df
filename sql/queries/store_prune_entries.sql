-- Forget entries before an id: the buffer will not deliver them again.
delete from loaded_entries
where stream = %(stream)s::text
  and (split_part(entry_id, '-', 1)::int8, split_part(entry_id, '-', 2)::int8)
    < (split_part(%(before_id)s::text, '-', 1)::int8, split_part(%(before_id)s::text, '-', 2)::int8)
