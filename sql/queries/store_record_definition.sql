-- What a continuous aggregate is made with.
insert into schema_aggregates (name, sha256) values (%(name)s::text, %(sha256)s::text)
