-- Which migrations ran, with the hashes that they had.
select name, sha256 from schema_migrations
