-- The series that are registered already, of many fingerprints.
select fingerprint, series_id from series where fingerprint = any(%(fingerprints)s::uuid[])
