-- One refresh at a time, over several transactions: held until this session lets go.
select pg_advisory_lock(8480, 3)
