-- The last hour's minutes of every series: what changed most is found among them.
select series, bytes_each, points from read_minutes(%(since)s, %(until)s)
