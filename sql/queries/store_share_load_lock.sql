-- Taken by every loading transaction: who takes it exclusively knows that no load is in flight.
select pg_advisory_xact_lock_shared(8480, 1)
