-- Take the claimed late minutes of a window out of the log, and note what became of them.
with taken as (
  delete from late_rows
  where claimed and minute >= instant(%(since_us)s::int8) and minute < instant(%(until_us)s::int8)
  returning series_id, minute, sample_count, loaded_at
), noted as (
  insert into late_refreshes (hour, sample_count, series_count, first_loaded_at)
  select date_trunc('hour', minute, 'UTC'), sum(sample_count), count(distinct series_id), min(loaded_at)
  from taken group by 1
)
select count(distinct (series_id, minute)) as buckets from taken
