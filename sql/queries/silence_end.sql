-- End a silence now; one that has not begun never will.
update silences set ends_at = greatest(starts_at, least(ends_at, instant(%(now_us)s)))
where silence_id = %(silence_id)s and ends_at > instant(%(now_us)s)
