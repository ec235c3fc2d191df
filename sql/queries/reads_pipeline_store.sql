-- The newest sample that is not ahead of now, and all late samples that wait.
select
  (select epoch_us(max(at)) / 1000 from latest_samples where at <= %(now)s) as newest_ms,
  (select coalesce(sum(sample_count), 0)::int8 from late_rows) as late_waiting
