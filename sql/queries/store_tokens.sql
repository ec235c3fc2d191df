-- Every token that is not revoked.
select token_id, name, digest, scopes, samples_per_s, requests_per_s, created_at, expires_at
from access_tokens where revoked_at is null order by name
