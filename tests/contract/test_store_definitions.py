"""Continuous aggregates of another definition than the code's: noticed, made anew from samples, or refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import stores

from muninn.clock import DAY_US, MINUTE_US
from muninn.errors import Misconfigured
from muninn.model import RESOLUTIONS, SeriesKey
from muninn.run.commands.data import _what_would_run
from muninn.store import definitions
from muninn.store.database import SQL
from muninn.store.migrations import migrate, plan

NAMES = ("rollup_1day", "rollup_1hour", "rollup_1min", "rollup_5min")
TIMESCALE = [engine for engine in stores.ENGINES if engine != "postgres"]
FILE = "idempotent/035_rollups.timescaledb.sql"


@pytest.fixture(params=TIMESCALE)
def store(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    """It leaves the schema as others expect it."""
    for made in stores.opened(request):
        yield made
        made.connection.execute("update retention_state set horizon = 'epoch'; truncate cold_days cascade")
        migrate(made.database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of sql/ in which a minute's greatest value is ten times as great."""
    made = Path(shutil.copytree(SQL, tmp_path / "sql"))
    text = (made / FILE).read_text()
    now = "max(coalesce(max_value, sample_value(exponent, mantissa, value))) as max_value"
    assert text.count(now) == 1
    (made / FILE).write_text(text.replace(now, now.replace(" as max_value", " * 10 as max_value")))
    return made


def fill(store: stores.Postgres) -> None:
    key = SeriesKey.of("m", {"host": "a"})
    rows = [(key, stores.NOW_US - n * 7 * MINUTE_US, float(n)) for n in range(1, 500)]
    store.load([stores.entry(rows, "1-0")])
    store.refresh()


def figures(store: stores.Postgres) -> list[list[tuple[int, int, float | None]]]:
    return [
        [(one.bucket_us, one.sample_count, one.max_value) for one in store.buckets(resolution)]
        for resolution in RESOLUTIONS
    ]


def test_only_what_is_computed_makes_a_definition() -> None:
    text = (SQL / FILE).read_text()
    found = definitions.hashes([text])
    assert tuple(sorted(found)) == NAMES
    assert definitions.hashes([text.replace("count(*) + ", "count(*)\n    +  ")]) == found
    assert differs([text], [text.replace("interval '5 minutes'", "interval '10 minutes'")]) == {"rollup_5min"}


def differs(before: list[str], after: list[str]) -> set[str]:
    found, other = definitions.hashes(before), definitions.hashes(after)
    assert found.keys() == other.keys()
    return {name for name in found if other[name] != found[name]}


@pytest.mark.parametrize("engine", ["postgres", "timescaledb"])
def test_the_functions_that_a_rollup_calls_belong_to_its_definition(engine: str) -> None:
    texts = [
        path.read_text()
        for path in [*sorted((SQL / "migrations").glob("*.sql")), *sorted((SQL / "idempotent").glob("*.sql"))]
        if path.suffixes[0] in (".sql", f".{engine}")
    ]

    def changed(old: str, new: str) -> set[str]:
        assert any(old in text for text in texts), old
        return differs(texts, [text.replace(old, new) for text in texts])

    raw_only = {"rollup_1min"} if engine == "timescaledb" else set(NAMES)
    # Called in the definition; called by what is called there; the transition of an aggregate.
    assert changed("sample - before else sample end", "sample - before else 0 end") == raw_only
    assert changed("ceil(ln(value) / 0.0198", "floor(ln(value) / 0.0198") == raw_only
    assert changed("finalfunc = sketch_compact, combinefunc", "combinefunc") >= set(NAMES) - {"rollup_1min"}
    assert changed("-- Over samples in order of time", "-- Said otherwise") == set()
    assert changed("exp(least((key - 40000.5", "exp(least((key - 40000.4") == set(), "only who reads calls it"


@pytest.mark.parametrize("engine", stores.ENGINES)
def test_a_changed_function_makes_anew_what_was_computed_with_it(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    request.param = engine
    for store in stores.opened(request):
        fill(store)
        before = increases(store)
        folder = Path(shutil.copytree(SQL, tmp_path / "sql"))
        path = folder / "idempotent/032_counters.sql"
        path.write_text(path.read_text().replace("total := total + case", "total := total + 2 * case"))
        assert plan(store.database, folder).changed == definitions.Changed(NAMES)
        assert migrate(store.database, folder).rebuilt == NAMES
        store.refresh()
        assert increases(store) == [increase * 2 for increase in before]
        assert plan(store.database, folder).changed == definitions.Changed()
        assert migrate(store.database).rebuilt == NAMES
        store.refresh()
        assert increases(store) == before


def increases(store: stores.Postgres) -> list[float]:
    return [sum(one.increase or 0.0 for one in store.buckets(resolution)) for resolution in RESOLUTIONS]


def test_what_the_samples_cover_is_made_anew_and_computed(store: stores.Postgres, folder: Path) -> None:
    fill(store)
    before = figures(store)
    assert plan(store.database).changed == definitions.Changed()
    planned = plan(store.database, folder)
    assert planned.changed == definitions.Changed(NAMES)
    assert "would compute rollup_5min anew from samples: its definition changed" in _what_would_run(planned)
    assert figures(store) == before, "a plan changes nothing"

    done = migrate(store.database, folder)
    assert (done.renewed, done.rebuilt) == (True, NAMES)
    # Views are right at once, from samples; the refresh then closes what they show, by the new definition.
    assert figures(store) == before
    store.refresh()
    assert figures(store) != before
    ten = [[(at, count, high * 10) for at, count, high in level] for level in before]
    for mine, theirs in zip(figures(store), ten, strict=True):
        assert mine[:-1] == theirs[:-1]
    again = migrate(store.database, folder)
    assert (again.renewed, again.rebuilt) == (False, ())

    assert migrate(store.database).rebuilt == NAMES
    store.refresh()
    assert figures(store) == before
    late = SeriesKey.of("m", {"host": "a"})
    store.load([stores.entry([(late, stores.NOW_US - DAY_US, 1e6)], "2-0")])
    store.refresh()
    assert [sum(count for _, count, _ in level) for level in figures(store)] == [500] * 4


@pytest.mark.parametrize("gone", ["by retention", "into the cold tier"])
def test_what_no_samples_cover_any_more_is_refused_and_stands(store: stores.Postgres, folder: Path, gone: str) -> None:
    fill(store)
    before = figures(store)
    if gone == "by retention":
        store.clock.advance(3 * 86_400)
        store.refresh()
        before = figures(store)
        store.drop_raw(3)
    else:
        first = stores.NOW_US // DAY_US * DAY_US - 2 * DAY_US
        store.connection.execute(
            "insert into cold_days (day, watermark, moved_at) values (instant(%s), now(), now())", (first,)
        )
    planned = plan(store.database, folder)
    assert "rollup_1min changed" in planned.changed.refusal
    assert "no samples in the database" in planned.changed.refusal
    assert "would be refused: the definition of rollup_1min changed" in _what_would_run(planned)
    with pytest.raises(Misconfigured, match="take the code that they were made with"):
        migrate(store.database, folder)
    assert figures(store) == before
    assert not migrate(store.database).rebuilt
