-- Binary COPY of samples that no scaled integer holds.
copy scaled_samples (at, series_id, value) from stdin (format binary)
