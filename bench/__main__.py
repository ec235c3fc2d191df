"""`python -m bench [NAME ...]`: run the measurements, print their figures, keep them in bench/results/NAME.json."""

import argparse
import importlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import describe

RESULTS = Path(__file__).parent / "results"
NAMES = (
    "stack",
    "ingest",
    "scale",
    "buffer",
    "fanout",
    "queries",
    "refresh",
    "timescale",
    "cold",
    "alerting",
    "faults",
    "detecting",
    "detect",
)
# detect reads a benchmark from outside the repository.
USUAL = NAMES[:-1]


def show(figures: dict[str, object], indent: str = "  ") -> None:
    """Print figures, one a line, nested ones indented."""
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            show(value, indent + "  ")
        elif isinstance(value, float):
            print(f"{indent}{name}: {value:,.4g}")
        else:
            print(f"{indent}{name}: {value}")


def measure(name: str) -> None:
    """Run one module and write its result."""
    print(f"{name} ...", flush=True)
    started = time.monotonic()
    figures = importlib.import_module(f"bench.{name}").run()
    show(figures)
    result = {
        "name": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - started, 1),
        "machine": describe(),
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)} (default: {', '.join(USUAL)})"
    )
    chosen = parser.parse_args().names or list(USUAL)
    if unknown := set(chosen) - set(NAMES):
        print(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in chosen:
        measure(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
