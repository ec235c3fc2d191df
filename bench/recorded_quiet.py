"""False episodes on what a running Muninn recorded while nothing was known to be wrong.

`python -m bench.recorded_quiet URL --since 2026-01-31T12:00 [--until ...]` reads the means of ten seconds of every
series (of counters the last value) from its database, replays them through the detector's code at the product's own
step, and prints what opened: each episode with its reasons, and episodes and incidents a series and day, by metric.
--keep FILE writes what was read; a file in place of the URL replays that. With less than a day to learn from,
--warm-up-s says how much of it is learned and not judged.

Whether something was wrong all the same nobody can know from the figures: look at each.
"""

import argparse
import dataclasses
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psycopg

from bench.replaying import Replayed, replay
from muninn import names
from muninn.detection import Tuning
from muninn.detection.incidents import name_of
from muninn.model import SeriesKey
from muninn.settings import Detection

STEP_S = 10.0
WARM_UP_S = 3600.0
OWN = "muninn_"
_READ = """
select json_build_array(s.metric_name, s.tags, s.source_agent_id, s.instance_id)::text, r.at_ms, r.mean, r.last
from (
  select series_id, floor(extract(epoch from at) / %(step_s)s) * %(step_s)s * 1000 as at_ms,
         avg(value) as mean, (array_agg(value order by at desc))[1] as last
  from raw_samples where at >= %(since)s and at < %(until)s group by 1, 2
) r join series s using (series_id) order by r.at_ms, 1
"""


def read(url: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Rows of (series, at_ms, value): one a series and step."""
    with psycopg.connect(url, options="-c default_transaction_read_only=on") as connection:
        found = connection.execute(_READ, {"step_s": STEP_S, "since": since, "until": until}).fetchall()
    keys = {text: SeriesKey.parse(text.encode()) for text in {text for text, *_ in found}}
    series = [keys[text].canonical.decode() for text, *_ in found]
    counts = {text: names.describe(key.metric).kind == "counter" for text, key in keys.items()}
    value = [last if counts[text] else mean for text, _, mean, last in found]
    at_ms = [int(at) for _, at, *_ in found]
    schema = {"series": pl.String, "at_ms": pl.Int64, "value": pl.Float64}
    return pl.DataFrame({"series": series, "at_ms": at_ms, "value": value}, schema=schema)


def figures(found: Replayed, step_s: float) -> dict[str, object]:
    """How much opened, of how much that was judged; those of Muninn's own figures are told to nobody by its rules."""
    judged = Counter(key.metric for _, keys in found.judged_at for key in keys)
    days = sum(judged.values()) * step_s / 86_400
    theirs = sum(n for metric, n in judged.items() if not metric.startswith(OWN)) * step_s / 86_400
    opened = Counter(each.key.metric for each in found.opened)
    of_others = sum(n for metric, n in opened.items() if not metric.startswith(OWN))
    told = sum(not each.head.key.metric.startswith(OWN) for each in found.incidents.values())
    return {
        "series": len({key for _, keys in found.judged_at for key in keys}),
        "series-days": days,
        "episodes": len(found.opened),
        "episodes per series-day": len(found.opened) / days if days else None,
        "episodes per series-day, Muninn's own figures left out": of_others / theirs if theirs else None,
        "incidents": len(found.incidents),
        "incidents that are alerts": told,
        "episodes by metric": dict(opened.most_common()),
    }


def show(found: Replayed) -> None:
    """Each episode, in the order of time."""
    for each in found.opened:
        at = datetime.fromtimestamp(each.at_us / 1e6, UTC)
        why = ", ".join(f"{view} {share:+.2f}" for view, share in each.shares.items())
        band = f"{each.value:.6g}, kept to {each.low:.6g} .. {each.high:.6g}"
        print(f"  {at:%d %H:%M:%S} {name_of(each.key)}: {each.score:.2f} ({why}); {band}")


def main() -> int:
    """Read or load, replay, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.recorded_quiet", description=__doc__)
    parser.add_argument("source", help="a database's URL, or a file that --keep wrote")
    instant = {"type": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC)}
    parser.add_argument("--since", **instant, help="UTC; needed with a URL")  # type: ignore[arg-type]
    parser.add_argument("--until", default=datetime.now(UTC), **instant)  # type: ignore[arg-type]
    parser.add_argument("--warm-up-s", type=float, default=WARM_UP_S)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if Path(options.source).is_file():
        rows = pl.read_parquet(options.source)
    elif options.since is None:
        parser.error("--since is needed with a URL")
    else:
        rows = read(options.source, options.since, options.until)
    if options.keep is not None:
        rows.write_parquet(options.keep, compression="zstd")
    found = replay(rows, STEP_S, Detection().calm_s, dataclasses.replace(Tuning(), warm_up_s=options.warm_up_s))
    show(found)
    for name, value in figures(found, STEP_S).items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
