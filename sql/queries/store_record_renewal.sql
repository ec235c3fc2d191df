-- Views and functions were made anew.
insert into schema_renewal (sha256) values (%(sha256)s::text)
on conflict (only_row) do update set sha256 = excluded.sha256, renewed_at = now()
