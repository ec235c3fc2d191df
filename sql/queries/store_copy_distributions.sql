-- Binary COPY of samples that are distributions.
copy raw_samples (at, series_id, value, sample_count, min_value, max_value, sketch) from stdin (format binary)
