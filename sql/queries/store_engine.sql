-- Which edition of TimescaleDB is here: 'timescale', 'apache', or null for plain PostgreSQL.
select current_setting('timescaledb.license', true) as license
