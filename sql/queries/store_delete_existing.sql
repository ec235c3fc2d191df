-- Take out samples of a stretch of time whose value was replaced.
select store_delete_samples(%(series_ids)s::int4[], %(at_us)s::int8[], %(since)s::timestamptz, %(until)s::timestamptz)
