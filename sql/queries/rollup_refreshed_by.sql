-- Who refreshes the fresh end from now on, where the database can: its own job ('database') or the refresher ('muninn').
select rollup_refreshed_by(%(owner)s::text, %(every_s)s::float8, %(settle_s)s::float8, %(lateness_s)s::float8)
