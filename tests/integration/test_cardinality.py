"""How many series there are: the answer, the command, and the door over a real store."""

from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest

from muninn import settings
from muninn.cache import MemoryBoard
from muninn.clock import HOUR_US, SystemClock
from muninn.errors import Invalid, Misconfigured
from muninn.ingest.gate.gate import Bounds, Gate, Limits
from muninn.ingest.gate.keeper import Keeper
from muninn.ingest.gate.rules import load
from muninn.ingest.validate import Decoded
from muninn.meter import Meter
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.reads.facade import Reads
from muninn.run import cardinality as commands
from muninn.store import series_index
from muninn.store.database import Database
from muninn.store.writer import StoreWriter


def requests(count: int, start: int = 0) -> list[SeriesKey]:
    """Series of one metric that differ in one label above all."""
    return [
        SeriesKey.of("requests", {"path": f"/{n % 3}", "request_id": f"r{n}"}, "shop", f"web-{n % 2}")
        for n in range(start, start + count)
    ]


def load_series(url: str, keys: list[SeriesKey]) -> None:
    now_us = SystemClock().now_us()
    batch = SampleBatch.of([(key, now_us, 1.0) for key in keys])
    with Database(url) as database:
        StoreWriter(database).load([BatchHandle("test", f"{now_us}-0", batch)])


@pytest.fixture
def filled_url(postgres_url: str) -> str:
    load_series(postgres_url, [*requests(30), SeriesKey.of("up", {"job": "x"}, "scrape")])
    return postgres_url


def test_the_answer_counts_series_and_names_what_grows(filled_url: str) -> None:
    board, meter = MemoryBoard(), Meter()
    meter.gauge("muninn_gate_active_series", 31)
    meter.count("muninn_gate_refused_series_total", 5, limit="metric", subject="requests", label="request_id")
    board.publish("gateway", "a:1", meter.snapshot())
    with Database(filled_url) as database:
        asked = Reads(database, board=board)
        found = asked.cardinality()
        assert (found.series, found.active, found.new_hour, found.new_day) == (31, 31, 31, 31)
        assert [(group.name, group.series, group.new_hour) for group in found.metrics] == [
            ("requests", 30, 30),
            ("up", 1, 1),
        ]
        assert [(group.name, group.series) for group in found.sources] == [("shop", 30), ("scrape", 1)]
        first = found.labels[0]
        assert (first.name, first.distinct_values, first.series) == ("request_id", 30, 30)
        assert (first.metric_name, first.in_metric) == ("requests", 30)
        by_name = {label.name: label.distinct_values for label in found.labels}
        assert by_name == {"request_id": 30, "path": 3, "source_agent_id": 2, "instance_id": 2, "job": 1}
        assert [(each.subject, each.label, each.times) for each in found.refused] == [("requests", "request_id", 5)]
        assert int(found.growth.new.sum()) == int(found.growth.total[-1]) == 31
        assert np.all(np.diff(found.growth.at_ms) == HOUR_US // 1000)
        assert [label.name for label in asked.cardinality("up").labels] == ["job", "source_agent_id"]


def test_an_empty_store_has_no_series(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        found = Reads(database).cardinality()
    assert (found.series, found.active, found.metrics, found.labels) == (0, None, (), ())


def test_the_command_shows_tables_and_json(filled_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings.load({"MUNINN_DATABASE_URL": filled_url})
    commands.show(config, None, 10, False)
    told = capsys.readouterr().out
    assert "31 series" in told
    assert "request_id" in told
    commands.show(config, "requests", 1, True)
    found = orjson.loads(capsys.readouterr().out)
    assert [label["name"] for label in found["labels"]] == ["request_id"]


def test_after_a_restart_known_series_flow_and_what_came_this_hour_counts(filled_url: str) -> None:
    with Database(filled_url) as database:
        gate = Gate(Limits(metric=Bounds(None, 35)), registered=partial(series_index.registered, database))
        Keeper(gate, None, partial(series_index.new_series, database, SystemClock())).step()
        rows = [(key, 1, 1.0) for key in requests(40)]
        found = gate.admit(Decoded(SampleBatch.of(rows)), 100)
    assert len(found.batch) == 35
    assert found.rejected == 5
    assert "'request_id'" in found.errors[0].reason


def test_a_file_of_rules_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\naction = "drop"\nmetric = "req*"\n')
    gate = Gate(rules=load(path))
    keeper = Keeper(gate, path, dict)
    batch = SampleBatch.of([(key, 1, 1.0) for key in requests(3)])
    assert gate.admit(Decoded(batch), 100).left_out == 3
    path.write_text("[[rule]\n")
    keeper.step()
    assert gate.admit(Decoded(batch), 100).left_out == 3
    path.write_text('[[rule]]\naction = "drop"\nmetric = "other"\n')
    keeper.step()
    assert gate.admit(Decoded(batch), 100).left_out == 0


def test_rules_are_checked_and_tried_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nname = "ids"\naction = "drop_label"\nlabel = "request_id"\n'
                    '[[rule]]\nname = "dev"\naction = "drop"\nlabels = { env = "dev*" }\n')  # fmt: skip
    commands.check(path)
    commands.try_out(path, "requests", ["request_id=7", "path=/"], "shop")
    commands.try_out(path, "requests", ["env=dev-2"], "")
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("2 rules and 0 limits are good.")
    assert said[1:] == ['requests{path="/"} of shop', "left out by 'dev'"]
    with pytest.raises(Invalid, match="name=value"):
        commands.try_out(path, "requests", ["env"], "")
    path.write_text('[[rule]]\naction = "dorp"\n')
    with pytest.raises(Invalid, match="rule 1: action"):
        commands.check(path)
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path / "missing.toml")
