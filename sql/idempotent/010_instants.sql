-- Instants as integers: microseconds since the epoch, exact (no double on the way).
create or replace function instant(us int8) returns timestamptz
language sql immutable strict parallel safe as
$$ select timestamptz '1970-01-01 00:00:00+00' + (us / 86400000000) * interval '24 hours'
        + (us % 86400000000) * interval '1 microsecond' $$;

create or replace function epoch_us(at timestamptz) returns int8
language sql immutable strict parallel safe as
$$ select (extract(epoch from at) * 1000000)::int8 $$;
