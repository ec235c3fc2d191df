-- How the database's own refresh fares; no row where there is none.
select runs, failures, epoch_us(succeeded_at) as succeeded_us, seconds from rollup_job_state()
