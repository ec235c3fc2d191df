-- One exporter at a time: whether this session is it now.
select pg_try_advisory_lock(8480, 20) as held
