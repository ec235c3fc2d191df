-- One day as this transaction sees it: changes since its last export, late minutes that wait, and the watermark.
select coalesce((select array_agg(change_id) from cold_changes where day = instant(%(day_us)s::int8)), '{}') as change_ids,
       exists (select from late_rows where minute >= instant(%(day_us)s::int8)
                                       and minute < instant(%(day_us)s::int8) + interval '24 hours') as late_waiting,
       (select epoch_us(min(watermark)) from rollup_state) as watermark_us,
       (select moved_at is not null from cold_days where day = instant(%(day_us)s::int8)) as moved
