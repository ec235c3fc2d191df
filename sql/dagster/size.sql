-- What Dagster's own database takes, with indexes.
select pg_database_size(current_database()) as bytes
