-- What each continuous aggregate was made with.
select name, sha256 from schema_aggregates
