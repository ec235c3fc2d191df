-- Run first on every migration: one migrator at a time, and the tables that remember what ran.
select pg_advisory_xact_lock(8480, 0);
set local client_min_messages = warning;
create table if not exists schema_migrations (
  name text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
-- One row: the hash over all of sql/idempotent as it was last run.
create table if not exists schema_renewal (
  only_row bool primary key default true check (only_row),
  sha256 text not null,
  renewed_at timestamptz not null default now()
);
-- The hash of each rollup's definition, as it was made with (muninn/store/definitions.py). A migration that deletes
-- these rows says that rollups stand as they are, though what computes them changes.
create table if not exists schema_aggregates (
  name text primary key,
  sha256 text not null
);
