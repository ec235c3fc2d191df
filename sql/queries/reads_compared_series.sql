-- Ids and metrics of the series that are compared across the fleet: the platform's own are judged by its health.
select array_send(array_agg(series_id::int8 order by series_id)) as series,
       array_agg(metric_name order by series_id) as metrics
from series join latest_samples using (series_id)
where at >= %(since)s and not starts_with(metric_name, 'muninn_')
