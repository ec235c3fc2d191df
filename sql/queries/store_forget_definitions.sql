-- Before the definitions of now are recorded.
delete from schema_aggregates
