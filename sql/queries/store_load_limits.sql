-- What a load has to respect: samples before `closing` are late, samples before `horizon` were dropped.
select epoch_us(state.closing) as closing_us, epoch_us(raw.horizon) as horizon_us
from rollup_state state, retention_state raw
where state.resolution = '1min' and raw.table_name = 'raw_samples'
