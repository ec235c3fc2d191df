"""What happens by the clock, all times UTC.

Belongs here: how often. A run costs about three seconds of CPU for its process, whatever it does.
Does not: what follows from events (sensors).
"""

import dagster as dg

from pipelines.jobs import keep_house, take_pulse

pulse_schedule = dg.ScheduleDefinition(
    name="every_five_minutes",
    job=take_pulse,
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Hot answers and the checks of now.",
)
house_schedule = dg.ScheduleDefinition(
    name="every_night",
    job=keep_house,
    cron_schedule="20 0 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Retention, shortly after a day has ended.",
)

SCHEDULES = (pulse_schedule, house_schedule)
