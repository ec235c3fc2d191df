"""What happens by the clock, all times UTC.

Belongs here: how often. A run costs about three seconds of CPU for its process, whatever it does.
Does not: what follows from events (sensors).
"""

import dagster as dg

from pipelines.jobs import keep_house, record_alert_rules, report_noise, take_pulse, train_models

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
models_schedule = dg.build_schedule_from_partitioned_job(
    train_models,
    name="models_every_night",
    hour_of_day=1,
    minute_of_hour=10,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A model of the day that has ended.",
)

rules_schedule = dg.build_schedule_from_partitioned_job(
    record_alert_rules,
    name="every_night_alert_rules",
    hour_of_day=0,
    minute_of_hour=30,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="How alert rules did on the day before.",
)
noise_schedule = dg.ScheduleDefinition(
    name="every_monday",
    job=report_noise,
    cron_schedule="0 6 * * 1",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The noise report of the week.",
)

SCHEDULES = (pulse_schedule, house_schedule, models_schedule, rules_schedule, noise_schedule)
