-- Mark the late minutes of a window that the refresh which follows will see, also those that a crash left marked.
select rollup_claim_late(instant(%(since_us)s::int8), instant(%(until_us)s::int8)) as claimed
