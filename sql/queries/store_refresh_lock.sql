-- One refresh, or change of what may be refreshed, at a time.
select pg_advisory_xact_lock(8480, 3)
