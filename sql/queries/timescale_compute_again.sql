-- Compute every bucket that touches a window whose late rows are claimed, at every resolution or one.
call rollup_compute_again(instant(%(since_us)s::int8), instant(%(until_us)s::int8), %(only)s::text, %(note)s::bool,
                          '{}', null)
