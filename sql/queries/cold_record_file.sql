-- One file of an exported day.
insert into cold_files (day, content, metric_group, path, row_count, sample_count, series_count, bytes, checksum)
values (instant(%(day_us)s::int8), %(content)s::text, %(metric_group)s::text, %(path)s::text, %(rows)s::int8, %(samples)s::int8,
        %(series)s::int4, %(bytes)s::int8, %(checksum)s::int8)
