"""The jobs that schedules and sensors start. Anything else is materialised from the asset graph.

Belongs here: which assets and checks run together, in one process. Does not: when (schedules, sensors).
"""

import dagster as dg

from assets.alerts import alert_noise_report, alert_rule_history
from assets.cache import hot_answers
from assets.checks import days_match_raw, hours_match_raw
from assets.landing import landing_files
from assets.lifecycle import cold_files_verified, cold_rows_match, cold_samples, dagster_history, retention
from assets.models import place_model, place_model_evaluation
from assets.pulse import pulse

# What made a sensor ask for a run, in words.
CAUSE_TAG = "muninn/cause"

take_in_file = dg.define_asset_job(
    "take_in_file",
    dg.AssetSelection.assets(landing_files),
    description="Send one dropped file through the gateway and move it to done/ or failed/.",
)
verify_hours = dg.define_asset_job(
    "verify_hours",
    dg.AssetSelection.checks(hours_match_raw),
    description="Compare raw rows with rollups hour by hour.",
)
verify_days = dg.define_asset_job(
    "verify_days",
    dg.AssetSelection.checks(days_match_raw),
    description="Compare raw rows with rollups day by day.",
)
take_pulse = dg.define_asset_job(
    "take_pulse",
    dg.AssetSelection.assets(hot_answers) | dg.AssetSelection.checks(pulse),
    description="Compute the hot answers, see whether data is current. One process for both: its start is the cost.",
)
keep_house = dg.define_asset_job(
    "keep_house",
    dg.AssetSelection.assets(cold_samples, retention, dagster_history).without_checks()
    | dg.AssetSelection.checks(cold_files_verified, cold_rows_match),
    description="Export closed days, make partitions ahead, drop what has expired, prune Dagster's own history.",
)
train_models = dg.define_asset_job(
    "train_models",
    dg.AssetSelection.assets(place_model, place_model_evaluation),
    description="Train the model of places on the last 14 days, use it if it is not worse, judge the one in use.",
)

record_alert_rules = dg.define_asset_job(
    "record_alert_rules",
    dg.AssetSelection.assets(alert_rule_history),
    description="How alert rules did on a day that is over.",
)
report_noise = dg.define_asset_job(
    "report_noise",
    dg.AssetSelection.assets(alert_noise_report),
    description="Which alert rules were noise in the last week, and what to change.",
)

JOBS = (take_in_file, verify_hours, verify_days, take_pulse, keep_house, train_models, record_alert_rules, report_noise)
