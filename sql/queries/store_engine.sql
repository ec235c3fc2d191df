-- Which edition of TimescaleDB is here ('timescale', 'apache', or null: none), and how raw samples lie, if they do.
-- hidden_in: the schema of the extension, where its functions are not found. to_be_had: it could still be installed.
select current_setting('timescaledb.license', true) as license,
       (select nspname from pg_extension join pg_namespace home on home.oid = extnamespace
        where extname = 'timescaledb' and nspname <> all(current_schemas(true))) as hidden_in,
       case when to_regclass('raw_samples') is null then exists (
         select from pg_available_extensions where name = 'timescaledb' and installed_version is null) end as to_be_had,
       (select relkind = 'p' from pg_class where oid = to_regclass('raw_samples')) as natively_partitioned
