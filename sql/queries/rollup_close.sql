-- Announce up to where buckets will be refreshed; it never goes back. Loads from now on record earlier samples as late.
update rollup_state
set closing = greatest(closing, date_bin(width, instant(%(closing_us)s::int8), 'epoch'::timestamptz))
where closing < date_bin(width, instant(%(closing_us)s::int8), 'epoch'::timestamptz)
