"""Programs that are part of the whole only where something is set for them."""

from pathlib import Path

import pytest

from muninn import settings
from muninn.home import Home
from muninn.run import stack
from muninn.run.environment import as_environ

SERVERS = {"MUNINN_DATABASE_URL": "postgresql://u:p@h/d", "MUNINN_REDIS_URL": "redis://h/0"}
OPTIONAL = {"scraper", "statsd"}


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, set()),
        ({"MUNINN_SCRAPER_TARGETS": "a:9100"}, {"scraper"}),
        ({"MUNINN_SCRAPER_FILE": "targets.json"}, {"scraper"}),
        ({"MUNINN_STATSD_PORT": "8125"}, {"statsd"}),
        ({"MUNINN_STATSD_PORT": "", "MUNINN_SCRAPER_TARGETS": " "}, set()),
    ],
)
def test_scraper_and_statsd(tmp_path: Path, environ: dict[str, str], names: set[str]) -> None:
    asked = settings.load({**SERVERS, **environ})
    found = {part.name: part for part in stack.build(asked, Home(tmp_path)).parts}
    assert found.keys() & OPTIONAL == names
    assert found.keys() >= {"gateway", "loader", "collector"}
    if "statsd" in names:
        assert found["statsd"].address == "udp://127.0.0.1:8125"


def test_what_is_set_reaches_the_programs() -> None:
    environ = {"MUNINN_SCRAPER_FILE": "/etc/targets.json", "MUNINN_STATSD_PORT": "8125", "MUNINN_SCRAPER_JOB": "own"}
    again = settings.load(as_environ(settings.load({**SERVERS, **environ})))
    assert (again.scraper.file, again.statsd.port, again.scraper.job) == (Path("/etc/targets.json"), 8125, "own")
