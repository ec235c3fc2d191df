"""The command line: its help, its one-sentence errors, its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muninn import settings
from muninn.run import reference
from muninn.run.cli import app

ROOT = Path(__file__).parents[3]
MUNINN = Path(sys.executable).with_name("muninn")


def muninn(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    return subprocess.run(
        [str(MUNINN), *arguments],
        env={**kept, "COLUMNS": "120", **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_tells_every_command_in_a_line() -> None:
    done = muninn("--help")
    assert done.returncode == 0
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    commands = {line.split()[0]: line for line in lines if line.strip()}
    wanted = {"up", "down", "status", "scale", "logs", "migrate", "settings", "gateway", "loader", "sidecar"}
    assert wanted <= commands.keys()
    assert all(len(line.split()) > 3 and not line.endswith("...") for line in commands.values())


@pytest.mark.parametrize("group", ["analytics", "deadletter", "door", "lifecycle", "models", "rules", "token"])
def test_the_commands_of_a_group_are_told_in_a_line_each(group: str) -> None:
    done = CliRunner().invoke(app, [group, "--help"], env={"COLUMNS": "80"})
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    assert done.exit_code == 0
    assert lines
    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize("command", ["up", "down", "status", "scale", "logs", "migrate", "settings", "gateway"])
def test_each_command_has_help(command: str) -> None:
    done = muninn(command, "--help")
    assert done.returncode == 0
    assert "Usage: muninn" in done.stdout


def test_docs_settings_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == reference.markdown(), "renew it: muninn settings --markdown > docs/settings.md"
    assert all(f"`{name}`" in page for name in settings.variables())


def test_settings_shows_values_and_no_secret() -> None:
    done = muninn("settings", MUNINN_GATEWAY_PORT="8499", MUNINN_DATABASE_URL="postgresql://u:sesame@h/d")
    assert done.returncode == 0
    assert "8499" in done.stdout
    assert "sesame" not in done.stdout


def test_where_there_is_no_terminal_a_line_is_as_long_as_it_needs() -> None:
    far = "/far" * 60
    assert far not in muninn("settings", COLUMNS="120", MUNINN_LANDING=far).stdout
    assert far in muninn("settings", COLUMNS="", MUNINN_LANDING=far).stdout


@pytest.mark.parametrize("command", ["up", "status", "down", "gateway", "migrate"])
def test_a_broken_setting_is_one_sentence(command: str, tmp_path: Path) -> None:
    done = muninn(command, MUNINN_GATEWAY_PORT="soon", MUNINN_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "MUNINN_GATEWAY_PORT is wrong" in done.stderr


def test_a_misspelt_setting_is_told(tmp_path: Path) -> None:
    done = muninn("up", MUNINN_GATEWAY_PROT="1", MUNINN_HOME=str(tmp_path))
    assert done.returncode != 0
    assert "did you mean MUNINN_GATEWAY_PORT?" in done.stderr


@pytest.mark.slow
def test_status_where_nothing_runs(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    done = muninn("status", MUNINN_HOME=home)
    assert done.returncode == 1
    assert f"No Muninn runs on {home}" in done.stdout
    as_json = muninn("status", "--json", MUNINN_HOME=home)
    assert as_json.returncode == 1
    told = json.loads(as_json.stdout)
    assert (told["running"], told["health"], told["parts"]) == (False, "down", [])
    assert not Path(home).exists()


def test_down_where_nothing_runs(tmp_path: Path) -> None:
    done = muninn("down", MUNINN_HOME=str(tmp_path))
    assert done.returncode == 0
    assert "No Muninn runs" in done.stdout


def test_scale_where_nothing_runs(tmp_path: Path) -> None:
    done = muninn("scale", "loader", "2", MUNINN_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "no Muninn runs" in done.stderr


def test_logs(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "loader-1.log").write_text("one\ntwo\nthree\n")
    assert muninn("logs", "loader", "-n", "2", MUNINN_HOME=str(tmp_path)).stdout == "two\nthree\n"
    missing = muninn("logs", "lodaer", MUNINN_HOME=str(tmp_path))
    assert missing.returncode == 1
    assert "there are: loader-1" in missing.stderr
    outside = muninn("logs", "../logs/loader-1", MUNINN_HOME=str(tmp_path))
    assert outside.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", ["gateway", "loader", "refresher", "sidecar", "detector", "collector", "scraper", "statsd"]
)
def test_a_program_alone_says_what_it_needs(program: str) -> None:
    done = muninn(program)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "set MUNINN_" in done.stderr
