-- Forget what became of late samples a while ago.
delete from late_refreshes where refreshed_at < instant(%(before_us)s::int8)
