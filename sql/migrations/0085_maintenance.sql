-- Maintenance windows made through the API; those in files are not here. One that ends is kept: who made it, who
-- ended it. A change is an end and a new row.
create table maintenance_windows (
  maintenance_id uuid primary key default gen_random_uuid(),
  name text not null,
  body jsonb not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  ended_by text not null default '',
  ended_at timestamptz
);
comment on column maintenance_windows.body is 'as a rules file has it';
create unique index maintenance_windows_name on maintenance_windows (name) where ended_at is null;
