-- Whether this database has kept what its aggregates were made with.
select to_regclass('schema_aggregates') is not null as known
