-- How many raw samples of a window are in the database.
select count(*) as rows from raw_samples
where at >= instant(%(since_us)s::int8) and at < instant(%(until_us)s::int8)
