"""Prometheus text (0.0.4) and OpenMetrics (1.0) to columns. Pure.

Belongs here: the layout of lines. Does not: what a series is called in the end (keys), fetching (scraper).
One regular expression cuts a megabyte at a time into columns; text becomes a series only where it is new (keys).
Every quantifier is possessive: a hostile line costs as much as its length, not more.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid

MAX_FAULTS = 10
# Stands for "no timestamp": no text can say it, what lies so far off is clipped.
NO_STAMP = np.iinfo(np.int64).min
_PIECE_BYTES = 1 << 20
_FURTHEST_US = 253_402_300_800_000_000
# No group is possessive: before Python 3.11.5 one that fails half-way leaves the position where it stopped. All
# alternatives differ in their first letter, so there is little to try again.
_BRACES = rb'\{(?:[^"}\n]|"(?:[^"\\\n]|\\[^\n])*")*\}'
# A sample (series, value, timestamp, exemplar), a comment, or (last group) a line that is neither; one match a line.
_LINE = re.compile(
    rb"^[ \t]*+(?:"
    rb"((?:[a-zA-Z_:][a-zA-Z0-9_:]*+(?:[ \t]*+" + _BRACES + rb")?|" + _BRACES + rb"))"
    rb"[ \t]*+([0-9a-zA-Z.+\-]{1,64}+)(?:[ \t]++([0-9.e+\-]{1,64}+))?(?:[ \t]++(#[^\n]*+))?[ \t\r]*+$"
    rb"|#[^\n]*+$|([^\n]*+)$)",
    re.MULTILINE,
)
_ENDS = (b"\n# EOF\n", b"\n# EOF")


@dataclass(frozen=True)
class Exposition:
    """`n` samples as they stand in the text.

    series: the text of each one's name and labels, n. value: float64[n], may be NaN or infinite.
    at_us: int64[n], NO_STAMP where the line has no timestamp. left_out: kind -> how many (exemplar).
    broken: lines that are no samples; faults: the first of them as (line, from 1, reason).
    """

    series: list[bytes]
    value: NDArray[np.float64]
    at_us: NDArray[np.int64]
    left_out: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.series)


def parse(body: bytes, *, openmetrics: bool) -> Exposition:
    """The samples of a scrape; a line that cannot be read is named and left.

    openmetrics: timestamps are seconds instead of milliseconds, and the text must end in `# EOF`.
    Invalid when it does not (it was cut off on its way), or when nothing in it is a sample and something else is.
    """
    if openmetrics and not (body.endswith(_ENDS) or body.rstrip() == b"# EOF"):
        raise Invalid("the text does not end in '# EOF': it was cut off")
    per_unit = 1_000_000.0 if openmetrics else 1_000.0
    line, parts = 1, []
    for piece in _pieces(body):
        parts.append(_parse_piece(piece, per_unit, line))
        line += piece.count(b"\n") + 1
    found = _joined(parts)
    if found.broken and not len(found):
        number, reason = found.faults[0]
        raise Invalid(f"the body is no Prometheus text: line {number}: {reason}")
    return found


def _pieces(body: bytes) -> Iterator[bytes]:
    begin = 0
    while (cut := body.find(b"\n", begin + _PIECE_BYTES)) >= 0:
        yield body[begin:cut]
        begin = cut + 1
    yield body[begin:]


def _parse_piece(piece: bytes, per_unit: float, first_line: int) -> Exposition:
    rows = _LINE.findall(piece)
    faults = [
        (first_line + place, f"{bad[:60].decode(errors='replace')!r} is no sample")
        for place, (_, _, _, _, bad) in enumerate(rows)
        if bad.strip()
    ]
    samples = [row for row in rows if row[0]]
    value = _floats([text for _, text, _, _, _ in samples])
    stamp = _floats([text or b"0" for _, _, text, _, _ in samples])
    unread = np.isnan(stamp) | np.isinf(stamp) | _no_numbers(samples, value)
    if unread.any():
        lines = [place for place, row in enumerate(rows) if row[0]]
        faults += [
            (first_line + lines[row], f"{b' '.join(samples[row][1:3])[:60].decode()!r} is no value and timestamp")
            for row in np.flatnonzero(unread)
        ]
        faults.sort()
        samples = [row for row, bad in zip(samples, unread, strict=True) if not bad]
        value, stamp = value[~unread], stamp[~unread]
    at_us = np.clip(np.rint(stamp * per_unit), -_FURTHEST_US, _FURTHEST_US).astype(np.int64)
    at_us[[not row[2] for row in samples]] = NO_STAMP
    left_out = Counter({"exemplar": sum(1 for row in samples if row[3])})
    return Exposition([row[0] for row in samples], value, at_us, left_out, len(faults), faults[:MAX_FAULTS])


def _floats(texts: list[bytes]) -> NDArray[np.float64]:
    """Python's exact parser over all of them; NaN where it is no number."""
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return np.fromiter(map(_float, texts), np.float64, len(texts))


def _float(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _no_numbers(samples: list[tuple[bytes, ...]], value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool[n]: which values became NaN without saying so."""
    bad = np.isnan(value)
    for row in np.flatnonzero(bad):
        bad[row] = samples[row][1].lstrip(b"+-").lower() != b"nan"
    return bad


def _joined(parts: list[Exposition]) -> Exposition:
    if len(parts) == 1:
        return parts[0]
    return Exposition(
        [series for part in parts for series in part.series],
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.at_us for part in parts]),
        sum((part.left_out for part in parts), Counter()),
        sum(part.broken for part in parts),
        [fault for part in parts for fault in part.faults][:MAX_FAULTS],
    )
