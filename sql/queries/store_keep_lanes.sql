-- A load wrote to these lanes, which it holds.
update load_lanes held
set writer = %(writer)s::uuid, turn = turn + 1, unflushed_us = nullif(given.at_us, -9223372036854775808)
from unnest(%(lanes)s::int4[], %(at_us)s::int8[]) as given (lane, at_us)
where held.lane = given.lane
