-- What changed most in the last hour: each series' mean since %(split)s against the one before, by the
-- spread of the baseline's minutes. A counter counts by its growth: from one minute's least value to the
-- next one's, which is exact as long as it only grows; a reset drops that minute.
with minutes as (
  select m.series_id, s.metric_name, m.bucket, right(s.metric_name, 6) = '_total' as counter,
    m.sample_count, m.sum_value, m.min_value,
    lead(m.min_value) over one as next_value, lead(m.bucket) over one as next_bucket
  from live_1min m
  join series s using (series_id)
  where m.bucket >= %(since)s and m.bucket < %(until)s
    -- The platform's own series are judged by its health.
    and not starts_with(s.metric_name, 'muninn_')
    -- The square of what is larger does not fit a double.
    and m.min_value > -1e100 and m.max_value < 1e100
  window one as (partition by m.series_id order by m.bucket)
), weighed as (
  select series_id, metric_name, bucket >= %(split)s as recent,
    case when not counter then sum_value when next_value >= min_value then next_value - min_value end as amount,
    case when not counter then sample_count else extract(epoch from next_bucket - bucket) end::float8 as weight
  from minutes
), compared as (
  select series_id, metric_name,
    sum(amount) filter (where not recent) / sum(weight) filter (where not recent) as before_value,
    sum(amount) filter (where recent) / sum(weight) filter (where recent) as now_value,
    coalesce(stddev_samp(amount / weight) filter (where not recent), 0) as spread
  from weighed
  where amount is not null
  group by series_id, metric_name
  having count(*) filter (where not recent) >= %(min_before)s and count(*) filter (where recent) >= %(min_now)s
), scored as (
  -- The floor keeps what was all but constant from winning by a hair: 2 percent, half a point of a percentage.
  select *, abs(now_value - before_value) / greatest(
      spread, 0.02 * abs(before_value), 0.02 * abs(now_value),
      case when metric_name like '%%\_pct' then 0.5 else 1e-300 end) as score
  from compared
), placed as (
  select *, row_number() over (partition by metric_name order by score desc, series_id) as place
  from scored
  where score >= %(min_score)s
)
select metric_name, tags, source_agent_id, instance_id, before_value, now_value, spread, score
from placed
join series using (series_id, metric_name)
where place <= %(max_per_metric)s
order by score desc, series_id
limit %(max_changes)s
