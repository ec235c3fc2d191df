-- The quantile sketch of muninn/numerics/sketch.py: int8[], sorted, each entry key * 2^32 + count.
-- None of these is STRICT: a strict function around CASE is not inlined, which makes it ten times slower.

create or replace function sketch_key(value float8) returns int8
language sql immutable parallel safe as
$$ select case when value > 0 then ceil(ln(value) / 0.0198::float8)::int8 + 40000
               when value < 0 then -40000 - ceil(ln(-value) / 0.0198::float8)::int8
               else 0 end $$;

-- Hand the samples over sorted by value, array_agg(value order by value): one loop over a minute's samples takes a tenth
-- of what a statement takes to begin. In any other order it is that statement. Both know sketch_key() by heart, because
-- TimescaleDB refreshes with an empty search_path.
create or replace function sketch_of(samples float8[]) returns int8[]
language plpgsql immutable parallel safe as $$
declare
  entries int8[];
  sample float8;
  key int8;
  before int8;
  same int8 := 0;
begin
  foreach sample in array coalesce(samples, '{}') loop
    key := case when sample > 0 then ceil(ln(sample) / 0.0198::float8)::int8 + 40000
                when sample < 0 then -40000 - ceil(ln(-sample) / 0.0198::float8)::int8
                else 0 end;
    if key = before then
      same := same + 1;
      continue;
    end if;
    if key < before then
      return (select array_agg(entry order by entry)
              from (select bin * 4294967296 + count(*) as entry
                    from unnest(samples) as unsorted (value),
                    lateral (select case when value > 0 then ceil(ln(value) / 0.0198::float8)::int8 + 40000
                                         when value < 0 then -40000 - ceil(ln(-value) / 0.0198::float8)::int8
                                         else 0 end as bin) bins
                    group by bin) entries);
    end if;
    if same > 0 then
      entries := entries || (before * 4294967296 + same);
    end if;
    before := key;
    same := 1;
  end loop;
  return case when same > 0 then entries || (before * 4294967296 + same) end;
end $$;

-- Entries in any order, keys more than once -> a sketch. Counts stop at 2^32 - 1.
create or replace function sketch_compact(entries int8[]) returns int8[]
language sql immutable parallel safe as
$$ select array_agg(key * 4294967296 + least(total, 4294967295) order by key)
   from (select entry >> 32 as key, sum(entry & 4294967295)::int8 as total
         from unnest(entries) as bin (entry) group by entry >> 32) bins $$;

do $$ begin
  if to_regprocedure('sketch_merge(int8[])') is null then
    create aggregate sketch_merge(int8[]) (
      sfunc = array_cat, stype = int8[], finalfunc = sketch_compact, combinefunc = array_cat, parallel = safe);
  end if;
end $$;

do $$ begin
  if to_regprocedure('sketch_cat(int8[])') is null then
    create aggregate sketch_cat(int8[]) (sfunc = array_cat, stype = int8[], combinefunc = array_cat, parallel = safe);
  end if;
end $$;

-- Single samples and the entries of distributions, either of which may be null, as one sketch.
create or replace function sketch_with(samples float8[], entries int8[]) returns int8[]
language sql immutable parallel safe
return case when entries is null then sketch_of(samples)
            when samples is null then sketch_compact(entries)
            else sketch_compact(sketch_of(samples) || entries) end;

-- The value of a bin: its harmonic middle; the limit keeps exp() from overflowing in the last bin.
create or replace function sketch_value(key int8) returns float8
language sql immutable parallel safe as
$$ select case when key > 0 then exp(least((key - 40000.5::float8) * 0.0198::float8, 709.782712893384::float8))
                                 / 1.0000490054002495::float8
               when key < 0 then -exp(least((-key - 40000.5::float8) * 0.0198::float8, 709.782712893384::float8))
                                 / 1.0000490054002495::float8
               else 0 end $$;

-- The q-quantile by nearest rank, held inside [minimum, maximum]; null for an empty sketch. A loop, because
-- it is five times faster than a window function over so few entries.
create or replace function sketch_quantile(sketch int8[], q float8, minimum float8, maximum float8) returns float8
language plpgsql immutable parallel safe as $$
declare
  entry int8;
  remaining int8 := 0;
begin
  if coalesce(cardinality(sketch), 0) = 0 then
    return null;
  end if;
  foreach entry in array sketch loop
    remaining := remaining + (entry & 4294967295);
  end loop;
  remaining := greatest(1, ceil(q * remaining));
  foreach entry in array sketch loop
    remaining := remaining - (entry & 4294967295);
    exit when remaining <= 0;
  end loop;
  return least(greatest(sketch_value(entry >> 32), minimum), maximum);
end $$;

-- A sketch as words of four bytes, for reading: key * 2^14 + count in order of keys; with bit 13 the other 13 bits count by
-- 8,192, so that a bin of many samples is several words. A loop, as in sketch_quantile().
create or replace function sketch_packed(sketch int8[]) returns bytea
language plpgsql immutable parallel safe as $$
declare
  entry int8;
  key int8;
  remaining int8;
  step int8;
  words bytea := '';
begin
  foreach entry in array coalesce(sketch, '{}') loop
    if entry & 4294967295 between 1 and 8191 then  -- nearly always: one expression instead of six
      words := words || int4send(((entry >> 32) * 16384 + (entry & 4294967295))::int4);
      continue;
    end if;
    key := (entry >> 32) * 16384;
    remaining := entry & 4294967295;
    while remaining >= 8192 loop
      step := least(remaining >> 13, 8191);
      words := words || int4send((key + 8192 + step)::int4);
      remaining := remaining - (step << 13);
    end loop;
    if remaining > 0 then
      words := words || int4send((key + remaining)::int4);
    end if;
  end loop;
  return words;
end $$;
