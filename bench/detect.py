"""Detection: the labelled half of the Numenta Anomaly Benchmark at the fixed threshold 0.8, and speed.

The benchmark lies outside the repository: MUNINN_BENCH_NAB names the folder that holds score_nab.py, data/ and
labels/. Its own scorer is loaded from there, so that the definitions are the benchmark's. Nothing is tuned here
on labels. `python -m bench.detect --study` adds what takes half an hour: the effect of 30 % more or less of each
number, the bar chosen without the category it is judged on, later starts, and the spread over files.
"""

import argparse
import dataclasses
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from bench.quiet import quiet
from muninn.detection import ANOMALY, Engine, Tuning
from muninn.detection.nab import HOLD_ROWS, TUNING, Detector, Hold

FOLDER_VARIABLE = "MUNINN_BENCH_NAB"
SIZES = (1_000, 10_000, 100_000)
STEP_US = 60_000_000
STARTS_US = 1_767_225_600_000_000
Z_LIMIT = 3.0
WEEK = pd.Timedelta(days=7)
HOUR_VISITS = 28
EVIDENCES = (0.2, 0.23, 0.25, 0.28, 0.32, 0.36)
STARTS = (0.05, 0.1, 0.15, 0.2, 0.3)
DRAWS = 1_000
Scores = dict[str, np.ndarray]


def run(folder: str | None = None) -> dict[str, object]:
    """Print the benchmark's table, and return it with series scored a second and bytes of state a series."""
    folder = folder or os.environ.get(FOLDER_VARIABLE)
    figures: dict[str, object] = {}
    if folder and (Path(folder) / "score_nab.py").exists():
        figures["benchmark"] = benchmark(load_scorer(Path(folder)), Path(folder))
    else:
        figures["benchmark"] = f"not measured: set {FOLDER_VARIABLE} to the folder with score_nab.py, data/, labels/"
        print(f"  {figures['benchmark']}")
    print("  false episodes a series-day on noise")
    figures["false episodes on noise"] = quiet()
    return figures | {"speed": {f"{n:,} series": speed(n) for n in SIZES}}


def load_scorer(folder: Path) -> ModuleType:
    """The benchmark's own scorer, from its folder, leaving nothing behind there."""
    spec = importlib.util.spec_from_file_location("score_nab", folder / "score_nab.py")
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(scorer)
    finally:
        sys.dont_write_bytecode = keep
    return scorer


def benchmark(scorer: ModuleType, folder: Path) -> dict[str, object]:
    """The table: Muninn and the two baselines, over all files and by category."""
    corpus = scorer.load_corpus(str(folder))
    muninn = detect(corpus)
    rows = {
        "Muninn": muninn,
        "Muninn, as cautious as it runs": detect(corpus, Tuning()),
        "rolling robust z, by hour of day": by_file(corpus, robust_z_by_hour),
        "z > 3 over a week": by_file(corpus, z_over_a_week),
    }
    table = {name: summary(scorer, corpus, scores) for name, scores in rows.items()}
    categories = {
        category: summary(scorer, part, muninn)
        for category in sorted({series.category for series in corpus.values()})
        if (part := {name: series for name, series in corpus.items() if series.category == category})
    }
    show(f"{len(corpus)} files at the fixed threshold {ANOMALY}", table)
    show("Muninn by category", categories)
    one = min(corpus, key=lambda name: corpus[name].n)
    return {
        "detectors": table,
        "by category": categories,
        "largest difference of one by one": float(np.abs(one_by_one(corpus[one]) - muninn[one]).max()),
    }


def detect(corpus: dict[str, Any], tuning: Tuning = TUNING) -> Scores:
    """Scores of all files, the n-th row of each at a time, with the hold of `muninn.detection.nab`."""
    files = list(corpus.values())
    lengths = np.array([series.n for series in files])
    at_us = np.zeros((len(files), lengths.max()), np.int64)
    value = np.zeros(at_us.shape)
    for row, series in enumerate(files):
        at_us[row, : series.n] = series.ts.astype("datetime64[us]").astype(np.int64)
        value[row, : series.n] = series.values
    engine, hold, scores = Engine(len(files), tuning), Hold(len(files), HOLD_ROWS), np.zeros(at_us.shape)
    for column in range(at_us.shape[1]):
        index = np.flatnonzero(lengths > column)
        verdicts = engine.score(at_us[index, column], value[index, column], index)
        scores[index, column] = hold.apply(verdicts.score, index)
    return {name: scores[row, : series.n] for row, (name, series) in enumerate(corpus.items())}


def one_by_one(series: Any) -> np.ndarray:
    """Scores of one file through the streaming object."""
    detector = Detector()
    return np.array([detector.update(at, float(v)) for at, v in zip(series.ts, series.values, strict=True)])


def by_file(corpus: dict[str, Any], detector: Callable[[pd.Series], np.ndarray]) -> Scores:
    """Scores of a baseline: |z| of 3 is 0.8."""
    found = {}
    for name, series in corpus.items():
        frame = pd.Series(series.values, index=pd.DatetimeIndex(series.ts)).sort_index(kind="stable")
        found[name] = np.clip(np.nan_to_num(np.abs(detector(frame)), nan=0.0) / Z_LIMIT * ANOMALY, 0.0, 1.0)
    return found


def z_over_a_week(values: pd.Series) -> np.ndarray:
    """z of each value against the seven days before it."""
    past = values.rolling(WEEK, closed="left", min_periods=30)
    return _ratio(values - past.mean(), past.std())


def robust_z_by_hour(values: pd.Series) -> np.ndarray:
    """z of each value against median and MAD of the same hour's last rows (28 days' worth of them)."""
    step_s = max(1.0, float(np.median(np.diff(values.index.to_numpy()) / np.timedelta64(1, "s"))))
    rows = max(HOUR_VISITS, round(HOUR_VISITS * 3600 / step_s))
    z = np.zeros(len(values))
    for hour in range(24):
        here = values.index.hour == hour
        own = values[here]
        past = own.shift(1).rolling(rows, min_periods=10)
        median = past.median()
        spread = (own - median).abs().shift(1).rolling(rows, min_periods=10).median() * 1.4826
        z[here] = _ratio(own - median, spread)
    return z


def _ratio(distance: pd.Series, spread: pd.Series) -> np.ndarray:
    far, unit = distance.to_numpy(), spread.to_numpy()
    return np.divide(far, unit, out=np.zeros(len(far)), where=unit > 0)


def summary(scorer: ModuleType, corpus: dict[str, Any], scores: Scores) -> dict[str, float]:
    """NAB standard score, recall of windows, false positives per 1,000 rows, all at the fixed threshold."""
    measured = scorer.operational(corpus, scores, ANOMALY)
    false = {
        "fp per 1000": float(measured["fp_per_1000"]),
        "false episodes per series-day": float(measured["false_episodes_per_series_day"]),
    }
    if not measured["windows"]:
        return false
    return {
        "nab": float(scorer.nab_score(corpus, scores, "standard", np.nextafter(ANOMALY, 2))[0]),
        "recall": float(measured["window_recall"]),
        **false,
        "precision": float(measured["precision"]),
    }


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """One line a row."""
    columns = {"nab": 1, "recall": 2, "fp per 1000": 2, "precision": 2}
    print(f"  {title}\n    {'':34s}" + "".join(f"{name:>13s}" for name in columns))
    for name, row in rows.items():
        cells = (
            f"{row[column]:13.{digits}f}" if column in row else f"{'-':>13s}" for column, digits in columns.items()
        )
        print(f"    {name:34s}" + "".join(cells))


def speed(n_series: int) -> dict[str, float]:
    """Samples scored a second of processor time, when each batch holds one of every series; bytes of state."""
    engine, random, index = Engine(n_series), np.random.default_rng(0), np.arange(n_series)
    repeats, spent = max(4, 200_000 // n_series), []
    for step in range(repeats + 2):
        value = 50 + random.normal(size=n_series)
        started = time.process_time()
        engine.score(np.full(n_series, STARTS_US + step * STEP_US), value, index)
        spent.append(time.process_time() - started)
    return {
        "scored per second and core": n_series / float(np.median(spent[2:])),
        "ms a batch": 1e3 * float(np.median(spent[2:])),
        "bytes of state per series": engine.bytes_per_series,
    }


def study(scorer: ModuleType, folder: Path) -> None:
    """Print how the figures depend on each number, on the category left out, and on which files are drawn."""
    corpus = scorer.load_corpus(str(folder))
    usual = detect(corpus)
    base = TUNING
    rows = {"as it is": summary(scorer, corpus, usual)}
    for field in dataclasses.fields(base):
        for factor in (0.7, 1.3):
            changed = dataclasses.replace(base, **{field.name: _scaled(getattr(base, field.name), factor)})
            rows[f"{field.name} x {factor}"] = summary(scorer, corpus, detect(corpus, changed))
            print(f"    {field.name} x {factor}: {rows[f'{field.name} x {factor}']['nab']:.1f}", flush=True)
    show("30 % less and more of each", rows)

    by_bar = {bar: detect(corpus, dataclasses.replace(base, evidence=bar)) for bar in EVIDENCES}
    show("evidence", {f"{bar}": summary(scorer, corpus, scores) for bar, scores in by_bar.items()})
    print("  evidence chosen on the other categories")
    left_out: Scores = {}
    for category in sorted({series.category for series in corpus.values()}):
        others = {name: series for name, series in corpus.items() if series.category != category}
        found = {bar: summary(scorer, others, scores) for bar, scores in by_bar.items()}
        allowed = [bar for bar in EVIDENCES if found[bar]["fp per 1000"] <= 0.5]
        chosen = max(allowed, key=lambda bar: found[bar]["nab"])
        left_out |= {name: by_bar[chosen][name] for name in corpus if name not in others}
        print(f"    {category:24s} {chosen}")
    show("each category at the bar chosen without it", {"all": summary(scorer, corpus, left_out)})
    later_starts(scorer, corpus)
    spread(scorer, corpus, usual)


def later_starts(scorer: ModuleType, corpus: dict[str, Any]) -> None:
    """Print the figures when the first rows of every file are kept from the detector, and from the scorer."""
    rows = {}
    for share in STARTS:
        part = {}
        for name, series in corpus.items():
            first = int(share * series.n)
            at, windows = series.ts[first:], [(a - first, b - first) for a, b in series.windows if a >= first]
            part[name] = scorer.Series(name, at, series.values[first:], [(at[a], at[b]) for a, b in windows])
        rows[f"without the first {share:.0%}"] = summary(scorer, part, detect(part))
    rows["mean"] = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
    show("later starts", rows)


def spread(scorer: ModuleType, corpus: dict[str, Any], scores: Scores) -> None:
    """Print quantiles of the figures over files drawn with replacement."""
    random, names, drawn = np.random.default_rng(0), list(corpus), []
    for _ in range(DRAWS):
        picked = random.choice(len(names), len(names))
        part = {f"{place}": corpus[names[k]] for place, k in enumerate(picked)}
        drawn.append(list(summary(scorer, part, {f"{p}": scores[names[k]] for p, k in enumerate(picked)}).values()))
    low, middle, high = np.quantile(np.array(drawn), [0.1, 0.5, 0.9], axis=0)
    print(f"  {DRAWS} draws of files, quantiles 0.1, 0.5, 0.9")
    for n, name in enumerate(("nab", "recall", "fp per 1000")):
        print(f"    {name:10s}{low[n]:8.2f}{middle[n]:8.2f}{high[n]:8.2f}")


def _scaled(value: float, factor: float) -> float:
    scaled = value * factor
    return round(scaled) if isinstance(value, int) else scaled


def main() -> int:
    """`python -m bench.detect [FOLDER] [--study]`."""
    parser = argparse.ArgumentParser(prog="python -m bench.detect", description=__doc__)
    parser.add_argument("folder", nargs="?", help=f"the benchmark's folder (default: {FOLDER_VARIABLE})")
    parser.add_argument("--study", action="store_true", help="also how the figures depend on each number")
    options = parser.parse_args()
    folder = options.folder or os.environ.get(FOLDER_VARIABLE)
    run(folder)
    if options.study and folder:
        study(load_scorer(Path(folder)), Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
