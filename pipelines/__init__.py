"""When what runs: Definitions, jobs, schedules, sensors, and how runs are started.

Belongs here: wiring of assets/ to time and events. Does not: work.
"""
