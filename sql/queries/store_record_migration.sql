-- A migration ran.
insert into schema_migrations (name, sha256) values (%(name)s::text, %(sha256)s::text)
