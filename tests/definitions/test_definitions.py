"""Dagster loads what we define, and the asset graph is the one that was agreed on."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from asset_graph import described
from dagster_world import ROOT

from assets.partitions import remembered_first_day, start_earlier
from muninn.model.window import as_us
from pipelines.definitions import build_defs, defs

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")
UPDATE = "UPDATE_ASSET_GRAPH"


def test_definitions_are_loadable() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_asset_graph_is_the_agreed_one() -> None:
    """After a change that is meant: UPDATE_ASSET_GRAPH=1 .venv/bin/python -m pytest tests/definitions -k agreed."""
    found = described(defs)
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8"), f"if this is meant, run once more with {UPDATE}=1"


def test_resources_can_be_replaced() -> None:
    @dg.resource
    def other() -> None:
        """Anything else."""

    assert build_defs({"muninn": other}).resources["muninn"] is other
    assert build_defs().resources["muninn"] is not other


def test_every_asset_and_check_says_what_it_is() -> None:
    graph = defs.resolve_asset_graph()
    assert all(graph.get(key).description for key in graph.get_all_asset_keys())
    assert all(graph.get(key).description for key in graph.asset_check_keys)


def test_loading_needs_no_setting_and_no_server() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", "import pipelines.definitions"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_loads_neither_pyarrow_nor_streamlit() -> None:
    """Each run is a process of its own: what it imports is what it costs."""
    heavy = "pyarrow", "streamlit", "numba", "sklearn", "plotly", "duckdb", "polars", "pandas"
    command = f"import sys, pipelines.definitions; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_instance_writes_nowhere_but_home(dagster_instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert Path(dagster_instance.storage_directory()).is_relative_to(tmp_path)
    assert Path(dagster_instance.file_manager_directory("run")).is_relative_to(tmp_path)
    assert not dagster_instance.telemetry_enabled
    assert not dagster_instance.nux_enabled
    assert dagster_instance.run_monitoring_enabled
    assert dagster_instance.run_launcher.supports_check_run_worker_health
    wanted = {"BACKFILL", "MONITORING", "QUEUED_RUN_COORDINATOR", "SCHEDULER", "SENSOR"}
    assert set(dagster_instance.get_required_daemon_types()) == wanted


def test_the_workspace_asks_the_environment_for_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.config_schema import process_workspace_config

    monkeypatch.setenv("MUNINN_DAGSTER_CODE_PORT", "3999")
    config = process_workspace_config(yaml.safe_load((ROOT / "workspace.yaml").read_text()))
    assert config.success
    (location,) = config.value["load_from"]
    assert location["grpc_server"] == {"host": "127.0.0.1", "port": 3999, "location_name": "muninn"}


def test_the_first_day_is_remembered_and_only_moves_back(tmp_path: Path) -> None:
    home = {"DAGSTER_HOME": str(tmp_path)}
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert remembered_first_day(home) in (today, today + timedelta(days=1))
    assert start_earlier(as_us(datetime(2025, 3, 4, 17, tzinfo=UTC)), home)
    assert remembered_first_day(home) == datetime(2025, 3, 4, tzinfo=UTC)
    assert not start_earlier(as_us(datetime(2025, 3, 4, 1, tzinfo=UTC)), home)
    assert not start_earlier(as_us(datetime(2025, 3, 9, tzinfo=UTC)), home)
    assert remembered_first_day(home) == datetime(2025, 3, 4, tzinfo=UTC)
    assert [path.name for path in tmp_path.iterdir()] == ["first_day"]
