-- Keep a new token; no row where the name is taken.
insert into access_tokens (name, digest, scopes, samples_per_s, requests_per_s, expires_at)
values (%(name)s, %(digest)s, %(scopes)s::text[], %(samples_per_s)s, %(requests_per_s)s, %(expires_at)s)
on conflict do nothing
returning token_id
