-- How many rows a rollup has in a window.
select rollup_rows(%(resolution)s::text, instant(%(since_us)s::int8), instant(%(until_us)s::int8)) as rows
