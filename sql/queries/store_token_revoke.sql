-- Revoke the token of this name.
update access_tokens set revoked_at = now() where name = %(name)s and revoked_at is null returning token_id
