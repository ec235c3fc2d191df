-- Changes of maintenance windows come one after the other until this transaction ends.
select pg_advisory_xact_lock(8480, 5)
