-- Chunks that were packed, and those that were tried in vain: columnstore_pack() in
-- sql/idempotent/080_columnstore.timescaledb.sql.
create table packed_chunks (
  chunk text primary key,
  tried_at timestamptz not null default now(),
  packed_at timestamptz,
  failure text
);
comment on column packed_chunks.failure is 'why the last try was given up; null: it was not, or the server ended in it';
