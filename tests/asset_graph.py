"""The asset graph as text: what a change to it changes can be read in a diff."""

from collections.abc import Iterator

import dagster as dg


def described(defs: dg.Definitions) -> str:
    """Every asset, check, job, schedule and sensor, in order of their names."""
    return "\n".join([*_assets(defs), "", *_jobs(defs), "", *_automation(defs), ""])


def _assets(defs: dg.Definitions) -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: (graph.get(key).group_name, key.to_user_string())):
        node = graph.get(key)
        yield f"asset {node.group_name}/{key.to_user_string()}" + ("" if node.is_materializable else " (external)")
        for parent in sorted(node.parent_keys, key=str):
            mapping = graph.get_partition_mapping(key, parent)
            named = "" if graph.get(parent).partitions_def is None else f" by {type(mapping).__name__}"
            yield f"  from {parent.to_user_string()}{named}"
        if node.partitions_def is not None:
            yield f"  partitions: {str(node.partitions_def).partition(',')[0]}"  # the start is each installation's own
        if node.backfill_policy is not None:
            yield f"  backfill: {node.backfill_policy.policy_type.name.lower()}"
        if node.pools:
            yield f"  pools: {', '.join(sorted(node.pools))}"
        if node.automation_condition is not None:
            yield f"  automation: {node.automation_condition}"
        for check in sorted(node.check_keys, key=lambda check: check.name):
            blocking = " (blocking)" if graph.get(check).blocking else ""
            yield f"  check: {check.name}{blocking}"


def _jobs(defs: dg.Definitions) -> Iterator[str]:
    for job in sorted(defs.resolve_all_job_defs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            nodes = sorted(node.name for node in job.nodes)
            yield f"job {job.name}: {', '.join(nodes)} ({job.executor_def.name})"


def _automation(defs: dg.Definitions) -> Iterator[str]:
    for schedule in sorted(defs.schedules or (), key=lambda schedule: schedule.name):
        each = defs.resolve_schedule_def(schedule.name)
        yield f"schedule {each.name}: {each.job_name} at {each.cron_schedule} ({each.default_status.value.lower()})"
    for sensor in sorted(defs.sensors or (), key=lambda sensor: sensor.name):
        found = defs.resolve_sensor_def(sensor.name)
        jobs = ", ".join(sorted(job.name for job in found.jobs))
        every = f"{found.minimum_interval_seconds} s"
        yield f"sensor {found.name}: {jobs} every {every} ({found.default_status.value.lower()})"
