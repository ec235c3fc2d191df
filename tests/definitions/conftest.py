"""Fixtures of the Dagster tests: a store and a Dagster instance on real servers."""

from dagster_world import dagster_instance, dagster_template, world

__all__ = ["dagster_instance", "dagster_template", "world"]
