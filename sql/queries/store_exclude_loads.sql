-- Wait until no load is in flight, and hold new ones off until this transaction ends: keep it short.
select pg_advisory_xact_lock(8480, 1)
