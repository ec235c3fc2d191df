-- Binary COPY of the invalidation log.
copy late_rows (series_id, minute, sample_count) from stdin (format binary)
