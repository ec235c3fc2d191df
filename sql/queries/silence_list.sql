-- Silences that are not over at an instant, and, with an earlier one, those of the past.
select silence_id::text, matchers, epoch_us(starts_at) as starts_us, epoch_us(ends_at) as ends_us, created_by, comment,
       epoch_us(created_at) as created_us
from silences
where ends_at > %(since)s
order by ends_at, silence_id
