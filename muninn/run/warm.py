"""`python -m muninn.run.warm`: import once what `muninn up` will import, so that its first start finds compiled files.

Belongs here: the list, and the scanners that are compiled to machine code at their first call (kept beside them).
Does not: anything that happens when a program runs.
"""

import importlib
import sys
from types import SimpleNamespace

from muninn.run.programs import NAMES

MODULES = (
    *(f"muninn.run.programs.{name}" for name in NAMES),
    "muninn.run.up",
    "muninn.run.status",
    "streamlit.web.bootstrap",
    "plotly.graph_objects",
    "dagster._cli",
    "dagster_webserver.cli",
    "pipelines.definitions",
)


def main() -> int:
    """Import everything; a module that cannot be imported is named, and is an error."""
    failed = []
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed.append(f"{name}: {error}")
    compile_scanners()
    for line in failed:
        print(f"the environment is not whole: {line}", file=sys.stderr)
    return bool(failed)


def compile_scanners() -> None:
    """Seconds that the first Prometheus or Telegraf that sends, and the first percentile, would wait otherwise."""
    import numpy as np

    from muninn.ingest.decode import _nested, _wire
    from muninn.ingest.decode.influx import InfluxDecoder
    from muninn.ingest.decode.label_table import LabelTable
    from muninn.ingest.decode.remote_write import parse_labels
    from muninn.ingest.validate import Rules
    from muninn.model.series_set import FINGERPRINT
    from muninn.numerics.fingerprints import FingerprintTable

    InfluxDecoder().decode(b"measurement,tag=a field=1.5 1\n", Rules(), 1, "ns", lambda _kind, _by: None)
    _wire.scan(b"", 1, 1)
    _nested.messages(b"", np.zeros((1, 1), np.int16), 1)
    LabelTable(parse_labels).resolve(b"", np.zeros(1, np.int64), np.zeros(1, np.int64))
    table = FingerprintTable()
    table.add(np.zeros(1, FINGERPRINT))
    table.find(np.zeros(1, FINGERPRINT))
    merge_something()


def merge_something() -> None:
    """Sketches as they are packed, and merged once more, which have wider counts; and the minutes of the fleet."""
    import numpy as np

    from muninn.model import Window
    from muninn.reads import _minutes, changes, points
    from muninn.store.arrays import sent

    of = np.ones(3, np.int64)
    row = SimpleNamespace(
        piece=1,
        from_us=0,
        series=sent(np.ones(1, np.int32)),
        bytes_each=sent(np.full(1, 3 * points.BYTES, np.int32)),
        points=np.ones(3 * points.WORDS, ">i8").tobytes(),
        sketch_length=np.ones(3, ">i4").tobytes(),
        sketch=np.full(3, 1 << 14 | 1, ">i4").tobytes(),
    )
    packed = points.received([row], [points.Piece("1min", Window(0, 1 << 60))])
    packed_p95 = points.merge(packed, of, np.arange(3)).p95
    merged = points.merge(packed, of, np.array([1, 1, 2]))
    found = changes.compare(np.ones((3, 1, 60)), np.zeros(1, np.bool_), 50)
    _minutes.lay_out(of[:1], of[:1], np.ones((3, 1)), of, 1.0, np.zeros((3, 2, 1)))
    if len(found.place) != 1 or not (packed_p95 == merged.merged(np.ones(2, np.int64)).p95).all():
        raise AssertionError("what is always the same is not the same")


if __name__ == "__main__":
    sys.exit(main())
