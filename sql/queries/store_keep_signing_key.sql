-- Keep a new key for a purpose, unless somebody was faster.
insert into access_keys (purpose, key) values (%(purpose)s, %(key)s) on conflict (purpose) do nothing
