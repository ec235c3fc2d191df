-- Make the missing partitions of one table that hold these instants; returns how many were made.
select sum(store_ensure_partitions(%(table)s::text, instant(at_us), instant(at_us + 1)))::int4 as made
from unnest(%(at_us)s::int8[]) as wanted (at_us)
