-- Make the missing partitions of one table over [since, until); returns how many were made.
select store_ensure_partitions(%(table)s::text, %(since)s::timestamptz, %(until)s::timestamptz) as made
