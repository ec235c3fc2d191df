-- Raw samples of all series of a stretch of time, as columns.
select array_send(array_agg(series_id)) as series_id, array_send(array_agg(at)) as at,
       array_send(array_agg(value)) as value
from raw_samples
where at >= %(since)s and at < %(until)s
