"""The only Definitions: everything that Dagster knows of Muninn.

Belongs here: bringing assets, checks, jobs, schedules, sensors and resources together. Does not: any of them.
"""

from collections.abc import Mapping

import dagster as dg

from assets.alerts import alert_noise_report, alert_rule_history
from assets.cache import hot_answers
from assets.checks import days_match_raw, hours_match_raw
from assets.landing import landing_files
from assets.lifecycle import cold_files_verified, cold_rows_match, cold_samples, dagster_history, retention
from assets.models import place_model, place_model_evaluation
from assets.pulse import pulse
from assets.raw import raw_samples
from assets.resources import MuninnResource
from assets.rollups import daily_rollups, hourly_rollups
from pipelines.jobs import JOBS
from pipelines.landing import dropped_files
from pipelines.schedules import SCHEDULES
from pipelines.sensors import closed_hours, late_samples


def build_defs(resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All definitions; a test replaces resources by name."""
    return dg.Definitions(
        assets=[
            raw_samples,
            landing_files,
            hourly_rollups,
            daily_rollups,
            cold_samples,
            retention,
            dagster_history,
            hot_answers,
            alert_rule_history,
            alert_noise_report,
            place_model,
            place_model_evaluation,
        ],
        asset_checks=[hours_match_raw, days_match_raw, pulse, cold_files_verified, cold_rows_match],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[closed_hours, late_samples, dropped_files],
        resources={"muninn": MuninnResource(), **(resource_overrides or {})},
        # A process per step would cost more than all our steps do.
        executor=dg.in_process_executor,
    )


defs = build_defs()
