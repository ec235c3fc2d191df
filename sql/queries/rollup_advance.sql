-- Every bucket that ends at or before this instant is refreshed.
update rollup_state
set watermark = greatest(watermark, date_bin(width, instant(%(watermark_us)s::int8), 'epoch'::timestamptz)),
    refreshed_at = clock_timestamp()
