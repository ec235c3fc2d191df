-- The sketch of a bucket's samples is computed another way (sketch_of), to the same entries: rollups stand as they are.
delete from schema_aggregates;
