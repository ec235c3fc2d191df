-- Lock the lanes of a load in one order (no deadlock) and tell who wrote to them last.
select lane, writer, turn, unflushed_us
from load_lanes where lane = any(%(lanes)s::int4[])
order by lane for no key update
