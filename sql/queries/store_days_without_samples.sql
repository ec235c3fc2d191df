-- Days that have rollups, and samples in the cold tier only or nowhere: how many, and the first.
select count(distinct bucket) as days, epoch_us(min(bucket)) as first_us
from rollup_1day
where bucket < (select horizon from retention_state where table_name = 'raw_samples')
   or bucket in (select day from cold_days where moved_at is not null)
