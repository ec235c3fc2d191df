-- Chunks of raw samples that were packed: columnstore_pack() in sql/idempotent/080_columnstore.timescaledb.sql.
create table packed_chunks (
  chunk text primary key,
  packed_at timestamptz not null default now()
);
