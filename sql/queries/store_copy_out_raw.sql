-- The raw samples of a window, as CSV; doubles in their shortest exact form.
copy (select epoch_us(at), series_id, value from raw_samples
      where at >= instant(%(since_us)s::int8) and at < instant(%(until_us)s::int8)) to stdout (format csv)
