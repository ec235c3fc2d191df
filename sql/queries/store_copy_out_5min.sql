-- The 5min buckets of a window with their sketches and counters, closed and open, as CSV.
copy (select epoch_us(bucket), series_id, sample_count, sum_value, min_value, max_value, sketch::text,
             epoch_us(first_at), epoch_us(last_at), first_value, last_value, increase
      from live_5min
      where bucket >= instant(%(since_us)s::int8) and bucket < instant(%(until_us)s::int8)) to stdout (format csv)
