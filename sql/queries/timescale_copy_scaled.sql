-- Binary COPY of samples as scaled integers.
copy scaled_samples (at, series_id, exponent, mantissa) from stdin (format binary)
