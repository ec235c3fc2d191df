-- Rules made through the API.
select name, body, changed_by, epoch_us(changed_at) as changed_us from alert_rules order by name
