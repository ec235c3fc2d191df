-- Which edition of TimescaleDB is here ('timescale', 'apache', or null: none), and how raw samples lie, if they do.
select current_setting('timescaledb.license', true) as license,
       (select relkind = 'p' from pg_class where oid = to_regclass('raw_samples')) as natively_partitioned
