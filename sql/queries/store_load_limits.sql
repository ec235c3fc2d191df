-- What a load has to respect: samples before `closing` are late, samples before `horizon` were dropped, and days
-- before `announced` may have been exported.
select epoch_us(state.closing) as closing_us, epoch_us(raw.horizon) as horizon_us, epoch_us(cold.announced) as announced_us
from rollup_state state, retention_state raw, cold_tier cold
where state.resolution = '1min' and raw.table_name = 'raw_samples'
