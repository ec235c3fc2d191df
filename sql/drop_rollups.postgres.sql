-- Before rollups are computed anew: without them every view reads samples, until a refresh has closed everything again.
-- While no refresh and no load runs.
select pg_advisory_xact_lock(8480, 3);
select pg_advisory_xact_lock(8480, 1);
truncate rollup_1min, rollup_5min, rollup_1hour, rollup_1day;
truncate packed_1min, packed_5min, packed_1hour, packed_sketches_1min, packed_sketches_5min, packed_sketches_1hour,
  packed_growth_5min, packed_growth_1hour, fleet_minutes, fleet_state;
update packed_state set packed_until = 'epoch';
update rollup_state set watermark = 'epoch', refreshed_at = null;
-- Its functions may have changed, and they are made only where they are missing.
drop aggregate if exists sketch_merge(int8[]) cascade;
drop aggregate if exists sketch_cat(int8[]) cascade;
-- Copies of rollups in the cold tier's files are of the former definition.
insert into cold_changes (day) select day from cold_days;
