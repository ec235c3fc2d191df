"""`muninn import` and `muninn lifecycle` as a person uses them: what is shown, what is done, what is refused.

The commands go by the machine's clock, so that the samples do too.
"""

import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import duckdb
import psycopg
import pytest
from servers import eventually
from terminal import MUNINN, environment, on_terminal, piped

from muninn.clock import DAY_US, HOUR_US, SECOND_US
from muninn.model.window import as_datetime

DAYS, HOSTS = 12, ("alpha", "beta")
A_DAY = 24 * len(HOSTS)
ROWS = DAYS * A_DAY
TODAY = time.time_ns() // 1000 // DAY_US * DAY_US


def day(ago: int) -> str:
    return f"{as_datetime(TODAY - ago * DAY_US):%Y-%m-%d}"


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample an hour of two hosts on each of the twelve days before today; columns have names of their own."""
    lines = ["name,ts,reading,label.host"]
    for number in range(DAYS * 24):
        at = datetime.fromtimestamp((TODAY - DAYS * DAY_US + number * HOUR_US) / SECOND_US, UTC).isoformat()
        lines += [f"cpu_busy_pct,{at},{number / 10:.1f},{host}" for host in HOSTS]
    lines.append(f"cpu_busy_pct,{as_datetime(TODAY - DAY_US).isoformat()},not a number,alpha")
    path = tmp_path_factory.mktemp("files") / "history.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


MAPS = ("--map", "metric=name", "--map", "timestamp=ts", "--map", "value=reading")


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from raw_samples").fetchone()
    assert row is not None
    return int(row[0])


def cells(text: str, first: str) -> list[str]:
    """The cells of the table's row that begins so."""
    line = next(line for line in text.splitlines() if re.match(rf"[│┃] *{re.escape(first)}", line))
    return [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]


def imported(csv: Path, url: str, environ: dict[str, str]) -> None:
    """Tried, taken in, and given again."""
    code, shown = on_terminal("import", "*.csv", *MAPS, "--dry-run", folder=csv.parent, **environ)
    assert code == 0, shown
    assert cells(shown, "history.csv")[1:7] == [f"{ROWS}", f"{ROWS}", "0", "1", "1", "2"]
    assert f"history.csv, row {ROWS + 1}:" in shown
    assert count(url) == 0

    code, shown = on_terminal("import", "history.csv", *MAPS, folder=csv.parent, **environ)
    assert code == 0, shown
    assert re.search(rf"history\.csv: {ROWS + 1} rows .*1/1 ", shown)
    assert re.search(r"refreshing \d{4}-\d\d-\d\d .*\d+/\d+ ", shown)
    assert re.search(r"rollup rows refreshed\.\s*$", shown)
    assert count(url) == ROWS
    again = piped("import", "history.csv", *MAPS, folder=csv.parent, **environ)
    assert cells(again.stdout, "history.csv")[1:4] == [f"{ROWS}", "0", f"{ROWS}"]
    assert again.stderr == "", "no bar goes into a pipe"


def moved_to_files(folder: Path, url: str, environ: dict[str, str]) -> None:
    """What is due is exported and moved, once."""
    plan = piped("lifecycle", "plan", folder=folder, **environ)
    assert [f"now export raw_samples {day(DAYS)}"] == [
        " ".join(cells(line, "now")[:4]) for line in plan.stdout.splitlines() if day(DAYS) in line and "export" in line
    ]
    code, shown = on_terminal("lifecycle", "export", folder=folder, **environ)
    assert code == 0, shown
    # A bar is painted ten times a second and at its end: what it says last is sure to be seen.
    assert re.search(rf"exporting {day(2)}: recorded .*11/11 ", shown)
    assert re.search(rf"moving {day(8)}: moved .*5/5 ", shown)
    assert cells(shown, day(DAYS))[1] == f"{A_DAY}"
    assert cells(shown, day(DAYS))[-1] == "left the database"
    assert cells(shown, day(3))[-1] == ""
    assert count(url) == 7 * A_DAY
    assert piped("lifecycle", "export", folder=folder, **environ).stdout == "Nothing was due.\n"


def asked(folder: Path, environ: dict[str, str]) -> None:
    """In SQL and in a file, over both tiers."""
    answer = piped("sql", "select count(*) as n from performance_metrics", "--since=-20d", "--format=csv",
                  folder=folder, **environ)  # fmt: skip
    assert answer.stdout == f"n\n{ROWS}\n"

    code, shown = on_terminal("analytics", "export", "all.duckdb", "--since=-20d", folder=folder, **environ)
    assert code == 0, shown
    assert re.search(r"reading .*6/6 ", shown)
    with duckdb.connect(str(folder / "all.duckdb"), read_only=True) as other:
        assert other.sql("select count(*) from performance_metrics").fetchall() == [(ROWS,)]


def verified(folder: Path, environ: dict[str, str]) -> None:
    """All files are well, then one is damaged."""
    code, shown = on_terminal("lifecycle", "verify", folder=folder, **environ)
    assert code == 0, shown
    assert "verifying" in shown
    files = int(re.findall(r"(\d+) of (\d+) files", shown)[0][1])
    next(iter(sorted((folder / "home/cold").rglob("raw/*/*/*.parquet")))).write_bytes(b"nothing")
    wrong = piped("lifecycle", "verify", folder=folder, **environ)
    assert wrong.returncode == 1
    assert f"{files - 1} of {files} files are what their records say" in wrong.stdout
    assert wrong.stderr.startswith("muninn: ")
    assert "is not a readable Parquet file" in wrong.stderr


def dropped(folder: Path, url: str, environ: dict[str, str]) -> None:
    """What is no longer kept."""
    shorter = {**environ, "MUNINN_STORE_RAW_DAYS": "5"}
    dry = piped("lifecycle", "retention", "--dry-run", folder=folder, **shorter)
    due = [cells(line, "now")[1:4] for line in dry.stdout.splitlines() if " drop " in line]
    assert due == [["drop", "raw_samples", day(ago)] for ago in range(DAYS, 5, -1)]
    assert count(url) == 7 * A_DAY
    code, shown = on_terminal("lifecycle", "retention", folder=folder, **shorter)
    assert code == 0, shown
    assert re.search(r"dropping files .*0/\d+ ", shown)
    assert re.search(rf"Dropped \d+ partitions .*, {DAYS - 5} days of the cold tier", shown.replace("\n", " "))
    assert count(url) == 5 * A_DAY


@pytest.mark.timeout(600)  # a dozen processes
def test_a_history_is_imported_exported_verified_and_dropped(csv: Path, postgres_url: str, tmp_path: Path) -> None:
    environ = {"MUNINN_DATABASE_URL": postgres_url, "MUNINN_HOME": str(tmp_path / "home")}
    imported(csv, postgres_url, environ)
    moved_to_files(tmp_path, postgres_url, environ)
    asked(tmp_path, environ)
    verified(tmp_path, environ)
    dropped(tmp_path, postgres_url, environ)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("import", "--help"), "--map"),
        (("lifecycle", "--help"), "retention"),
        (("lifecycle", "export", "--help"), "--again"),
        (("lifecycle", "retention", "--help"), "--dry-run"),
        (("lifecycle", "verify", "--help"), "--sample"),
    ],
)
def test_help(command: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = piped(*command, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("import", "none-*.csv"), 1, "none-*.csv: there is no such file"),
        (("import", "a.csv", "--map", "timestamp"), 1, "write it as OURS=THEIRS, such as timestamp=ts"),
        (("import", "a.csv", "--map", "timestamp=when"), 1, "there is no column `when`; the header has metric,"),
        (("import", "c.csv"), 1, "has when, value. `muninn import` is told which one it is by --map metric=NAME"),
        (("analytics", "export", "none/x.duckdb"), 1, "none/x.duckdb can not be written: "),
        (("import", "b.csv", "--dry-run"), 1, "b.csv: nothing is made of `host`, `disk, used`, and series that"),
        (("import", "b.csv", "--ignore", "host", "--ignore", "disk, used"), 0, ""),
        (("lifecycle", "export", "yesterday"), 1, "yesterday is not a day: write it as 2026-03-01"),
        (("lifecycle", "export", "2020-01-01"), 1, "`muninn lifecycle plan` lists them"),
        (("lifecycle", "verify", "--sample", "0"), 2, "--sample"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    command: tuple[str, ...], code: int, says: str, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("metric,timestamp,value\nm,1700000000000,1\n")
    (tmp_path / "c.csv").write_text("when,value\n")
    (tmp_path / "b.csv").write_text('metric,timestamp,value,host,"disk, used"\n')
    done = piped(*command, folder=tmp_path, MUNINN_DATABASE_URL=postgres_url)
    assert done.returncode == code, done.stderr
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("lifecycle", "plan"), ("sql", "select 1"), ("migrate", "--plan")])
def test_without_a_database_it_says_what_to_do(command: tuple[str, ...], tmp_path: Path) -> None:
    done = piped(*command, folder=tmp_path)
    assert done.returncode == 2
    for part in (f"no Muninn runs on {tmp_path}/.muninn", "`make up`", "MUNINN_HOME", "MUNINN_DATABASE_URL"):
        assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_statements_may_come_through_a_pipe(postgres_url: str, tmp_path: Path) -> None:
    """The last one needs no semicolon; one that fails fails the command."""
    typed = "select 1 as a;\nselect 2\n  as b"
    done = piped("sql", "--format", "csv", folder=tmp_path, typed=typed, MUNINN_DATABASE_URL=postgres_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n1\nb\n2\n", "")
    typed = "selec;\nselect 2 as b"
    done = piped("sql", "--format", "csv", folder=tmp_path, typed=typed, MUNINN_DATABASE_URL=postgres_url)
    assert (done.returncode, done.stdout) == (1, "b\n2\n")
    assert "selec" in done.stderr


@pytest.mark.parametrize(
    ("command", "held", "says"),
    [
        (("import", "a.csv"), "select pg_advisory_xact_lock(8480, 1)", "the same command takes the rest"),
        (("analytics", "export", "x.duckdb"), "lock table series in access exclusive mode", ""),
    ],
)
def test_an_interrupt_leaves_nothing_half_done(
    command: tuple[str, ...], held: LiteralString, says: str, postgres_url: str, tmp_path: Path
) -> None:
    """It comes while another session holds the command up; the same command goes through afterwards."""
    file = tmp_path / "a.csv"
    file.write_text(f"metric,timestamp,value\nm,{time.time_ns() // 1_000_000},1\n")
    environ = environment(MUNINN_DATABASE_URL=postgres_url)
    waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with psycopg.connect(postgres_url) as other, psycopg.connect(postgres_url, autocommit=True) as watching:
        other.execute(held)
        process = subprocess.Popen(
            [str(MUNINN), *command],
            env=environ,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        eventually(lambda: bool(watching.execute(waits).rowcount), 120, "the command is held up")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert says in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == [file]
    done = piped(*command, folder=tmp_path, MUNINN_DATABASE_URL=postgres_url)
    assert done.returncode == 0, done.stderr
