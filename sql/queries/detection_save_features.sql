-- Keep a minute of every place's features.
insert into place_features (at, place, agent, features)
select instant(%(at_us)s), place, agent, features
from jsonb_to_recordset(%(rows)s::jsonb) as each (place text, agent text, features jsonb)
on conflict (at, place) do nothing
