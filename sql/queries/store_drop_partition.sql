-- Drop one partition.
call store_drop_partition(%(partition)s::text)
