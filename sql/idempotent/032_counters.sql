-- Growth of counters: what a sample is above the one before it, and after a reset what it is above zero. A sample
-- below the one before it is a reset. Loops, because they are faster than window functions over so few samples.

-- Over samples in order of time; null without samples, 0 for one.
create or replace function counter_increase(samples float8[]) returns float8
language plpgsql immutable parallel safe as $$
declare
  sample float8;
  before float8 := samples[1];
  total float8 := 0;
begin
  if samples is null then
    return null;
  end if;
  foreach sample in array samples loop
    total := total + case when sample >= before then sample - before else sample end;
    before := sample;
  end loop;
  return total;
end $$;

-- From the last sample of each bucket to the first of the next one, of buckets in order of time.
create or replace function counter_between(firsts float8[], lasts float8[]) returns float8
language plpgsql immutable parallel safe as $$
declare
  total float8 := 0;
begin
  for place in 2 .. coalesce(cardinality(firsts), 0) loop
    total := total + case when firsts[place] >= lasts[place - 1] then firsts[place] - lasts[place - 1]
                          else firsts[place] end;
  end loop;
  return total;
end $$;
