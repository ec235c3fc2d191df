-- Raw samples of a few series over the last minutes: what a live chart starts from.
select series_id, array_send(array_agg(at order by at)) as at, array_send(array_agg(value order by at)) as value
from raw_samples
where series_id = any(%(series)s) and at >= %(since)s and at < %(until)s
group by series_id
