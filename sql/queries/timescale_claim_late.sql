-- Mark the late minutes of a window that the refresh which follows will see, also those that a crash left marked.
update late_rows set claimed = true
where minute >= instant(%(since_us)s::int8) and minute < instant(%(until_us)s::int8)
