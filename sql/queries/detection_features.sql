-- Features of all places in a window, a row an instant; of a large fleet only so many places.
with chosen as (
  select distinct place from place_features
  where at >= instant(%(since_us)s) and at < instant(%(until_us)s)
  order by place limit %(most_places)s
)
select epoch_us(at) as at_us, array_agg(place order by place) as places, array_agg(agent order by place) as agents,
  jsonb_agg(features order by place) as features
from place_features join chosen using (place)
where at >= instant(%(since_us)s) and at < instant(%(until_us)s)
group by at order by at
