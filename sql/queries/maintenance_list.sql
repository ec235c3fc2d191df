-- Maintenance windows, those that hold or will; with ended also those that somebody ended or changed.
select maintenance_id::text, name, body, created_by, epoch_us(created_at) as created_us, ended_by,
       epoch_us(ended_at) as ended_us
from maintenance_windows
where ended_at is null or %(ended)s
order by name, created_at desc
