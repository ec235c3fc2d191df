"""Which targets are scraped: lists, files in the form of Prometheus' file_sd, and files that change."""

import json
import os
from pathlib import Path

import pytest

from muninn.errors import Misconfigured
from muninn.sources.scrape.scraper import until_next_s
from muninn.sources.scrape.targets import Defaults, Target, Targets, from_file, from_list

DEFAULTS = Defaults("scrape", 15.0, 10.0)


def target(url: str, instance: str, interval_s: float = 15.0, timeout_s: float = 10.0, **labels: str) -> Target:
    return Target(url, tuple(sorted({"job": "scrape", "instance": instance, **labels}.items())), interval_s, timeout_s)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("http://a:9100/metrics", [target("http://a:9100/metrics", "a:9100")]),
        ("a:9100, b:9101", [target("http://a:9100/metrics", "a:9100"), target("http://b:9101/metrics", "b:9101")]),
        ("https://a/x?y=z", [target("https://a/x?y=z", "a:443")]),
        ("http://[::1]:9100/", [target("http://[::1]:9100/metrics", "[::1]:9100")]),
    ],
)
def test_a_list(text: str, found: list[Target]) -> None:
    assert from_list(text, DEFAULTS) == found


@pytest.mark.parametrize("text", ["ftp://a", "http://", "http://a:x/", "a:99999999"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(Misconfigured, match="is not http://host:port"):
        from_list(text, DEFAULTS)


def test_a_password_is_neither_taken_nor_shown() -> None:
    with pytest.raises(Misconfigured, match="carries a user or password") as caught:
        from_list("http://me:sesame@a:9100", DEFAULTS)
    assert "sesame" not in str(caught.value)


def write(path: Path, *groups: object) -> Path:
    path.write_text(json.dumps(groups))
    return path


def test_a_file(tmp_path: Path) -> None:
    labels = {
        "job": "db",
        "env": "prod",
        "empty": "",
        "__scheme__": "https",
        "__metrics_path__": "/probe",
        "__param_module": "http 2xx",
        "__scrape_interval__": "1m30s",
        "__scrape_timeout__": "500ms",
    }
    path = write(tmp_path / "targets.json", {"targets": ["a:1", "b:2"], "labels": labels}, {"targets": ["c:3"]})
    shared = {"interval_s": 90.0, "timeout_s": 0.5}
    assert from_file(path, DEFAULTS) == [
        Target("https://a:1/probe?module=http+2xx", (("env", "prod"), ("instance", "a:1"), ("job", "db")), **shared),
        Target("https://b:2/probe?module=http+2xx", (("env", "prod"), ("instance", "b:2"), ("job", "db")), **shared),
        target("http://c:3/metrics", "c:3"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "unexpected"),
        ("{}", "must be of the form"),
        ('[{"targets": "a:1"}]', "must be of the form"),
        ('[{"targets": ["a:1"], "labels": {"n": 1}}]', "must be of the form"),
        ('[{"targets": ["a:1"], "labels": {"__scrape_interval__": "often"}}]', "is not a duration"),
        ('[{"targets": ["a:1"], "labels": {"__scrape_interval__": "1ms"}}]', "interval of at least"),
        ('[{"targets": ["a:1"], "labels": {"__scrape_timeout__": "16s"}}]', "timeout that is not longer"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "targets.json"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=reason):
        from_file(path, DEFAULTS)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="MUNINN_SCRAPER_FILE"):
        Targets("", tmp_path / "none.json", DEFAULTS)


def test_two_targets_that_would_write_the_same_series() -> None:
    with pytest.raises(Misconfigured, match="would write the same series"):
        Targets("http://a:1/x,http://a:1/y", None, DEFAULTS)
    assert len(Targets("a:1,http://a:1/metrics", None, DEFAULTS).current()) == 1


def test_a_file_that_changes_is_read_again_and_the_last_good_one_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "targets.json", {"targets": ["a:1"]})
    targets = Targets("z:9", path, DEFAULTS)
    first = targets.current()
    assert [one.url for one in first] == ["http://z:9/metrics", "http://a:1/metrics"]
    assert targets.current() is first
    os.replace(write(tmp_path / "new", {"targets": ["a:1", "b:2"]}), path)
    assert [one.url for one in targets.current()[1:]] == ["http://a:1/metrics", "http://b:2/metrics"]
    path.write_text("[")
    assert len(targets.current()) == 3
    assert "stay as they were" in caplog.text
    path.unlink()
    assert len(targets.current()) == 3


def test_turns_are_spread_and_stay_where_they_are() -> None:
    now_us = 1_700_000_000_000_000
    many = from_list(",".join(f"host-{number}:9100" for number in range(200)), DEFAULTS)
    waits = [until_next_s(one, now_us) for one in many]
    assert all(0 < wait <= 15 for wait in waits)
    in_thirds = [sum(1 for wait in waits if low < wait <= low + 5) for low in (0, 5, 10)]
    assert min(in_thirds) > 30
    turn_us = now_us + round(waits[0] * 1e6)
    assert until_next_s(many[0], turn_us) == 15
    assert until_next_s(many[0], turn_us + 4_000_000) == 11
