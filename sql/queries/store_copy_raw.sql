-- Binary COPY of (at, series_id, value).
copy raw_samples (at, series_id, value) from stdin (format binary)
