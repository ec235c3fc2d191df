-- Rows and samples of every level by hour or day (`step`) over a window, all of one snapshot.
select 'raw' as level, epoch_us(date_bin(%(step)s::interval, at, 'epoch'::timestamptz)) as since_us,
       count(*) as rows,
       count(*) + coalesce(sum(sample_count - 1), 0)::int8 as samples
from raw_samples where at >= %(since)s and at < %(until)s group by 2
union all
select '1min', epoch_us(date_bin(%(step)s::interval, bucket, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from rollup_1min where bucket >= %(since)s and bucket < %(until)s group by 2
union all
select '5min', epoch_us(date_bin(%(step)s::interval, bucket, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from rollup_5min where bucket >= %(since)s and bucket < %(until)s group by 2
union all
select '1hour', epoch_us(date_bin(%(step)s::interval, bucket, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from rollup_1hour where bucket >= %(since)s and bucket < %(until)s group by 2
union all
select '1day', epoch_us(date_bin(%(step)s::interval, bucket, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from rollup_1day where bucket >= %(since)s and bucket < %(until)s group by 2
union all
select 'late_waiting', epoch_us(date_bin(%(step)s::interval, minute, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from late_rows where minute >= %(since)s and minute < %(until)s group by 2
union all
select 'late_refreshed', epoch_us(date_bin(%(step)s::interval, hour, 'epoch'::timestamptz)), count(*), sum(sample_count)::int8
from late_refreshes where hour >= %(since)s and hour < %(until)s group by 2
