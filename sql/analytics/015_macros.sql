-- Percentiles are merged from sketches, growth from counters: averages of averages have no macro here.

-- The value that a bin of the sketch stands for (sql/idempotent/030_sketch.sql says why).
create macro sketch_value(key) as
  case when key = 0 then 0.0
       else sign(key) * (exp(least((abs(key) - 40000.5) * 0.0198, 709.782712893384)) / 1.0000490054002495) end;

-- Entries in order of their keys; `remaining` is how many values are still to pass before the q-quantile.
create macro sketch_walk(entries, q, minimum, maximum) as
  least(greatest(sketch_value(list_reduce(
    entries,
    lambda walked, entry: case
      when walked.remaining <= 0 then walked
      else {'remaining': walked.remaining - (entry & 4294967295), 'key': entry >> 32} end,
    {'remaining': greatest(1, ceil(q * list_sum(list_transform(entries, lambda each: each & 4294967295))))::bigint,
     'key': 0::bigint}).key), minimum), maximum);

-- The q-quantile by nearest rank of many rows' sketches: merged_quantile(list(sketch), 0.95, min(min_value), max(max_value)).
create macro merged_quantile(sketches, q, minimum, maximum) as
  sketch_walk(list_sort(flatten(sketches)), q, minimum, maximum);

-- Growth of counters, exact on the samples: what each is above the one before, and after a reset above zero. Of the
-- buckets of any number of series, in any order: counter_increase(list(counter)), with `counter` as in metrics_<resolution>.
create macro counter_step(former, latter) as case when latter >= former then latter - former else latter end;

create macro counter_walk(sorted) as
  list_sum(list_transform(sorted, lambda each: each.increase))
  + coalesce(list_sum(list_transform(range(2, len(sorted) + 1), lambda place:
      case when sorted[place].series_id = sorted[place - 1].series_id
           then counter_step(sorted[place - 1].last_value, sorted[place].first_value) else 0.0 end)), 0.0);

create macro counter_increase(counters) as
  counter_walk(list_sort(list_filter(counters, lambda each: each.increase is not null)));

-- Per second, from the first sample of the first series to the last of the last; null where that is no time.
create macro counter_rate(counters) as
  counter_increase(counters) / nullif(
    epoch_us(list_max(list_transform(counters, lambda each: each.last_at)))
    - epoch_us(list_min(list_transform(counters, lambda each: each.first_at))), 0) * 1000000.0;

-- The same of the samples of one series: sample_increase(list(metric_value order by timestamp)).
create macro sample_increase(samples) as
  coalesce(list_sum(list_transform(range(2, len(samples) + 1), lambda place:
    counter_step(samples[place - 1], samples[place]))), 0.0);
