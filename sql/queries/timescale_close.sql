-- Close the buckets that end in a piece of one day; the rows written, by resolution.
call rollup_close_piece(instant(%(since_us)s::int8), instant(%(until_us)s::int8), '{}')
