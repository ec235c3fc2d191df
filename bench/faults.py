"""Detection proved on ourselves: faults injected into a running Muninn, recorded with labels, and what was found.

`python -m bench.faults --record FOLDER` starts a Muninn of its own, lets it learn the rehearsal service and this
machine for five and a half minutes, makes each fault of `muninn inject` for a minute or more, and writes into FOLDER
faults.parquet (means of two seconds) and faults.json (labels, and the incidents that the running detector opened).
It takes 18 minutes, on a machine that does nothing else. `python -m bench faults` replays the recording that lies in
tests/data through the same code, and prints the share found, the time to detection, and what opened where no fault was.
"""

import argparse
import dataclasses
import json
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import psycopg

from bench import replaying
from bench.running import MUNINN, running, status
from muninn.detection import Tuning
from muninn.detection.incidents import Incident
from muninn.model import SeriesKey

DATA = Path(__file__).parents[1] / "tests" / "data" / "faults"
STEP_S, WARM_UP_S, CALM_S = 2.0, 300.0, 30.0
# Muninn's own start is no part of what is learned: this machine has been up for a while.
SETTLE_S, LEARN_S, REST_S = 30.0, 320.0, 30.0
# Faults of the service and of the machine in turns, so that those of one place lie apart. A fault of 60 s is one of
# five minutes at the usual steps of ten seconds; those that come gradually last longer.
FAULTS: dict[str, tuple[float, tuple[str, ...]]] = {
    "latency": (60.0, ()),
    "cpu": (90.0, ("--cores", "2")),
    "errors": (60.0, ()),
    "memory": (80.0, ("--megabytes", "5000")),
    "traffic": (60.0, ()),
    "disk": (80.0, ("--megabytes", "5000")),
    "silence": (60.0, ()),
}
# What a fault shows in: an incident counts as its finding if its head or a series of it is one of these.
SERVICE, OWN = "rehearsal_", "muninn_"
SHOWS: dict[str, tuple[str, ...]] = {
    "latency": (SERVICE,),
    "errors": (SERVICE,),
    "traffic": (SERVICE,),
    "silence": (SERVICE,),
    "memory": ("memory_", "process_memory", "swap_"),
    "cpu": ("cpu_", "load_", "process_cpu", "context_", "pressure_"),
    "disk": ("disk_", "filesystem_"),
}
# So long after its end a fault is still found, and still what something is about.
AFTER_S = 30.0
Fault = dict[str, float | str]
Opened = tuple[int, SeriesKey]


def run() -> dict[str, object]:
    """Figures of the recording, replayed."""
    labels = json.loads((DATA / "faults.json").read_text())
    return replay(pl.read_parquet(DATA / "faults.parquet"), labels["faults"])


def replay(rows: pl.DataFrame, faults: list[Fault], tuning: Tuning | None = None) -> dict[str, object]:
    """Feed a recording to the detector, step by step, and judge what it found."""
    found = replaying.replay(rows, STEP_S, CALM_S, tuning or dataclasses.replace(Tuning(), warm_up_s=WARM_UP_S))
    opened = [(each.at_us, each.key) for each in found.opened]
    return found_of(opened, faults) | false_of(opened, found.judged_at, list(found.incidents.values()), faults)


def found_of(opened: list[Opened], faults: list[Fault]) -> dict[str, object]:
    """The share of faults found, and seconds to detection."""
    delays: dict[str, float | None] = {}
    for fault in faults:
        since, until = float(fault["since_us"]), float(fault["until_us"]) + AFTER_S * 1e6
        mine = [at for at, key in opened if since <= at <= until and key.metric.startswith(SHOWS[str(fault["kind"])])]
        delays[str(fault["kind"])] = (min(mine) - since) / 1e6 if mine else None
    found = [delay for delay in delays.values() if delay is not None]
    return {
        "faults": len(faults),
        "found": len(found),
        "seconds to detection": delays,
        "p95 of them": float(np.quantile(found, 0.95)) if found else None,
    }


def false_of(
    opened: list[Opened], judged_at: list[tuple[int, list[SeriesKey]]], incidents: list[Incident], faults: list[Fault]
) -> dict[str, object]:
    """What opened where no fault was: a fault of the service touches its own series, one of the machine all others."""
    false = [(at, key) for at, key in opened if not _touched(key, at, faults)]
    quiet_steps = sum(not _touched(key, at, faults) for at, keys in judged_at for key in keys)
    days = quiet_steps * STEP_S / 86_400
    wrong = [
        each
        for each in incidents
        if not any(_touched(member.key, member.opened_us, faults) for member in each.members.values())
    ]
    # The rules that are shipped tell nobody of Muninn's own figures.
    told, wrongly_told = (sum(not each.head.key.metric.startswith(OWN) for each in some) for some in (incidents, wrong))
    return {
        "quiet series-days": days,
        "false episodes": len(false),
        "false episodes per series-day": len(false) / days if days else None,
        "of these by metric": dict(Counter(key.metric for _, key in false)),
        "incidents": len(incidents),
        "false incidents": len(wrong),
        "incidents that are alerts": told,
        "false alerts": wrongly_told,
    }


def _touched(key: SeriesKey, at_us: int, faults: list[Fault]) -> bool:
    of_service = key.metric.startswith(SERVICE)
    return any(
        float(fault["since_us"]) <= at_us <= float(fault["until_us"]) + AFTER_S * 1e6
        and (SHOWS[str(fault["kind"])] == (SERVICE,)) == of_service
        for fault in faults
    )


def record(folder: Path) -> None:
    """Make the recording."""
    settings = {"DETECTION_STEP_S": STEP_S, "DETECTION_WARM_UP_S": WARM_UP_S, "DETECTION_CALM_S": CALM_S}
    with running(**{name: f"{value:g}" for name, value in settings.items()}) as muninn:
        service = subprocess.Popen([MUNINN, "inject", "service", "--seconds", "3600"], env=muninn.environ)
        try:
            url = status(muninn.environ)["database_url"]
            time.sleep(SETTLE_S)
            since_us = time.time_ns() // 1000
            time.sleep(LEARN_S)
            faults = []
            for kind, (seconds, options) in FAULTS.items():
                began = time.time_ns() // 1000
                print(kind, flush=True)
                command = [MUNINN, "inject", kind, "--seconds", f"{seconds:g}", *options]
                subprocess.run(command, env=muninn.environ, check=True)
                faults.append({"kind": kind, "since_us": began, "until_us": time.time_ns() // 1000})
                time.sleep(REST_S)
            write(folder, url, since_us, faults)
        finally:
            service.terminate()
            service.wait(30)


def write(folder: Path, url: str, since_us: int, faults: list[Fault]) -> None:
    """The rows of the time, and what the running detector made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(url) as connection:
        found = connection.execute(
            """select json_build_array(metric_name, tags, source_agent_id, instance_id)::text,
                   floor(extract(epoch from "timestamp") / %s) * %s * 1000, avg(metric_value)
                from performance_metrics where "timestamp" >= instant(%s) group by 1, 2 order by 2, 1""",
            (STEP_S, STEP_S, since_us),
        ).fetchall()
        incidents = connection.execute(
            """select epoch_us(opened_at), epoch_us(closed_at), title, score, causes -> 0 ->> 'name',
                 (select array_agg(metric_name) from incident_series each where each.incident_id = i.incident_id)
               from incidents i order by 1"""
        ).fetchall()
    texts = [SeriesKey.parse(text.encode()).canonical.decode() for text, _, _ in found]
    columns = {"series": texts, "at_ms": [int(at) for _, at, _ in found], "value": [value for *_, value in found]}
    schema = {"series": pl.String, "at_ms": pl.Int64, "value": pl.Float32}
    pl.DataFrame(columns, schema=schema).write_parquet(folder / "faults.parquet", compression="zstd")
    live = [
        dict(zip(("opened_us", "closed_us", "title", "score", "cause", "metrics"), row, strict=True))
        for row in incidents
    ]
    (folder / "faults.json").write_text(json.dumps({"faults": faults, "incidents": live}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--record", type=Path, required=True, help="where to write")
    record(parser.parse_args().record)
