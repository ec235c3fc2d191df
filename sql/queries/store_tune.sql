-- Set the width of chunks to come and when they go into the columnstore; nothing where there is none.
select store_tune(%(chunk_hours)s::int4, %(columnstore_after_hours)s::int4)
