-- The newest sample that is not ahead of now, all late samples that wait, and whether partitions are made ahead.
select
  (select epoch_us(max(at)) / 1000 from latest_samples where at <= %(now)s) as newest_ms,
  (select coalesce(sum(sample_count), 0)::int8 from late_rows) as late_waiting,
  (select relkind = 'p' from pg_class where oid = 'raw_samples'::regclass) as made_ahead
