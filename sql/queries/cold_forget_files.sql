-- The files of a day are replaced by others.
delete from cold_files where day = instant(%(day_us)s::int8)
