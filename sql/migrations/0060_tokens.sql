-- Who may come in. A token's secret is never kept, only its SHA-256: it has 256 random bits, so nothing can be guessed.
create table access_tokens (
  token_id int4 generated always as identity primary key,
  name text not null,
  digest bytea not null unique check (length(digest) = 32),
  scopes text[] not null check (scopes <@ array['ingest', 'read', 'admin'] and cardinality(scopes) > 0),
  samples_per_s float8 check (samples_per_s > 0),
  requests_per_s float8 check (requests_per_s > 0),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create unique index access_tokens_name on access_tokens (name) where revoked_at is null;

-- What the short-lived tickets of viewers are signed with: one key for all processes.
create table access_keys (
  purpose text primary key,
  key bytea not null check (length(key) = 32),
  created_at timestamptz not null default now()
);
