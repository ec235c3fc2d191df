-- Whether any migration ran here.
select to_regclass('schema_migrations') is not null as there
