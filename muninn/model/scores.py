"""What detection says about samples, as columns, and how it travels: between the detector and whoever acts on it.

Belongs here: the batch, its wire form, the log's protocol. Does not: scoring, the log itself (cache), decisions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model.series import SeriesKey

Floats = NDArray[np.float64]

WARNING = 0.6
ANOMALY = 0.8
# Lower scores are not sent, except those of a series whose episode is open, and the one that closes it.
WORTH_SENDING = 0.4

VERSION = b"1"
_WIDE = ("expected", "low", "high", "value")
_NARROW = ("score", "confidence")


@dataclass(frozen=True, eq=False)
class ScoreBatch:
    """`n` scores of `k` series, all that is worth telling of one step of the detector.

    until_us: every sample that came before this instant has been judged; a series that is known and not in the
        batch scored below WORTH_SENDING. A batch may be empty: it says just that.
    at_us: int64[n], microseconds since the epoch, UTC: the instant of the sample (or of a step of them).
    key_index: int32[n], each in [0, k). keys: the k distinct series. What is judged need not be stored series: a
        model of several series of a host has a key of its own (names.MODEL_SCORE).
    score: float64[n], 0..1; over WARNING a warning, over ANOMALY an anomaly.
    value, expected, low, high: float64[n]: what was judged (of a counter its rise per second), what was expected,
        and the band that it has kept to, in the unit of the series.
    confidence: float64[n], 0..1, how well the series is known. learning: bool[n], it is too young for a score.
    contributions: float64[n, v]: the signed share of the score that each of `views` has, positive for above its
        range, negative for below; the absolute values add up to the score.
    """

    until_us: int
    at_us: NDArray[np.int64]
    key_index: NDArray[np.int32]
    keys: tuple[SeriesKey, ...]
    score: Floats
    value: Floats
    expected: Floats
    low: Floats
    high: Floats
    confidence: Floats
    learning: NDArray[np.bool_]
    contributions: Floats
    views: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.at_us)
        columns = (self.key_index, self.learning, *(getattr(self, name) for name in (*_WIDE, *_NARROW)))
        if any(len(column) != n for column in columns) or self.contributions.shape != (n, len(self.views)):
            raise Invalid("a batch's columns differ in length")

    def __len__(self) -> int:
        return len(self.at_us)

    @classmethod
    def empty(cls, until_us: int, views: tuple[str, ...] = ()) -> "ScoreBatch":
        """Nothing worth telling up to `until_us`."""
        none, shares = np.empty(0), np.empty((0, len(views)))
        index = np.empty(0, np.int32)
        return cls(
            until_us, np.empty(0, np.int64), index, (), none, none, none, none, none, none, none > 0, shares, views
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "ScoreBatch":
        """The scores at `rows` (indices or a mask), and only their keys."""
        used, index = np.unique(self.key_index[rows], return_inverse=True)
        return replace(
            self,
            key_index=index.astype(np.int32),
            keys=tuple(self.keys[position] for position in used.tolist()),
            **{name: getattr(self, name)[rows] for name in ("at_us", *_WIDE, *_NARROW, "learning", "contributions")},
        )

    def reasons(self, row: int, most: int = 3) -> list[tuple[str, float]]:
        """The views that contributed most to one score, with their signed shares; [] where nothing is odd."""
        shares = self.contributions[row]
        order = np.argsort(-np.abs(shares), kind="stable")[:most]
        return [(self.views[view], float(shares[view])) for view in order if shares[view] != 0]


def encode(batch: ScoreBatch) -> dict[bytes, bytes]:
    """The fields of a log entry: columns little-endian, shares and scores as float32, keys one a line (JSON)."""
    fields = {
        b"v": VERSION,
        b"until": str(batch.until_us).encode(),
        b"at": batch.at_us.astype("<i8", copy=False).tobytes(),
        b"key": batch.key_index.astype("<i4", copy=False).tobytes(),
        b"keys": b"\n".join([key.canonical for key in batch.keys]),
        b"learning": np.packbits(batch.learning).tobytes(),
        b"shares": batch.contributions.astype("<f4").tobytes(),
        b"views": "\n".join(batch.views).encode(),
    }
    fields |= {name.encode(): getattr(batch, name).astype("<f8", copy=False).tobytes() for name in _WIDE}
    return fields | {name.encode(): getattr(batch, name).astype("<f4").tobytes() for name in _NARROW}


def decode(fields: Mapping[bytes, bytes]) -> ScoreBatch:
    """The inverse of `encode`, scores and shares rounded to float32; Invalid says what is wrong with the entry."""
    if fields.get(b"v") != VERSION:
        raise Invalid(f"score layout {fields.get(b'v')!r} is not known")
    try:
        at_us = np.frombuffer(fields[b"at"], "<i8").astype(np.int64)
        views = tuple(fields[b"views"].decode().split("\n")) if fields[b"views"] else ()
        lines = fields[b"keys"].split(b"\n") if fields[b"keys"] else []
        columns = {name: np.frombuffer(fields[name.encode()], "<f8").astype(np.float64) for name in _WIDE}
        columns |= {name: np.frombuffer(fields[name.encode()], "<f4").astype(np.float64) for name in _NARROW}
        batch = ScoreBatch(
            int(fields[b"until"]),
            at_us,
            np.frombuffer(fields[b"key"], "<i4").astype(np.int32),
            tuple(map(SeriesKey.parse, lines)),
            learning=_flags(fields[b"learning"], len(at_us)),
            contributions=np.frombuffer(fields[b"shares"], "<f4").astype(np.float64).reshape(len(at_us), len(views)),
            views=views,
            **columns,
        )
    except (KeyError, ValueError) as error:
        raise Invalid(f"damaged scores: {error}") from None
    if len(batch) and not 0 <= batch.key_index.min() <= batch.key_index.max() < len(batch.keys):
        raise Invalid("damaged scores: a score points at no series")
    return batch


def _flags(packed: bytes, n: int) -> NDArray[np.bool_]:
    if len(packed) != -(-n // 8):
        raise ValueError("flags of another number of scores")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=n).astype(bool)


@dataclass(frozen=True)
class ScoreHandle:
    """A batch as it lies in the log."""

    entry_id: str
    batch: ScoreBatch


class ScoreLog(Protocol):
    """What the detector has said lately, in order, for any number of followers. Bounded: the oldest goes first.

    Entry ids are strings "<ms>-<seq>" that grow. Methods raise Unavailable while the server is away.
    """

    def append(self, batch: ScoreBatch) -> str:
        """Keep the batch and return its entry id."""
        ...

    def follow(self, after_id: str, block_ms: int) -> Sequence[ScoreHandle]:
        """Entries after `after_id` ("$": from now on, "0-0": all that is kept), oldest first; [] when none came
        within `block_ms`. What was dropped in between is not told: compare `until_us` with where one was."""
        ...

    def last_id(self) -> str:
        """The newest entry ever appended ("0-0" if none): where to follow from."""
        ...
