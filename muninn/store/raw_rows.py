"""How raw samples go into an engine's table, as the columns of binary COPYs.

Belongs here: what a sample's row looks like on disk. Does not: which samples are written, and in which order.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from muninn.numerics import scaled
from muninn.store import binary_copy
from muninn.store.lanes import Rows

# One COPY: the name of its query, and its columns.
Copy = tuple[str, tuple[NDArray[Any], ...]]


class RawRows(Protocol):
    """How an engine keeps raw samples. distributions: the query that copies those which are distributions."""

    distributions: str

    def copies(self, rows: Rows) -> Iterator[Copy]:
        """The COPYs that put all of these rows in, each in the rows' order."""
        ...


class Plain:
    """(at, series_id, value), as the samples come."""

    distributions = "store_copy_distributions"

    def copies(self, rows: Rows) -> Iterator[Copy]:
        yield "store_copy_raw", (binary_copy.timestamptz(rows.at_us), rows.series_id, rows.value)


class ScaledIntegers:
    """Values as integers with a decimal exponent where that is lossless: a columnstore packs them far smaller.

    A series keeps the largest exponent that its values have needed so far, as long as this writer lives: integers of
    one scale lie close together. A value that does not scale by it has one of its own, or stays a double.
    """

    distributions = "timescale_copy_distributions"

    def __init__(self) -> None:
        self._exponent = np.zeros(0, np.int8)  # by series_id

    def copies(self, rows: Rows) -> Iterator[Copy]:
        found = self._scale(rows)
        at = binary_copy.timestamptz(rows.at_us)
        some = found.exact
        if some.any():
            yield (
                "timescale_copy_scaled",
                (at[some], rows.series_id[some], found.exponent[some].astype(np.int16), found.mantissa[some]),
            )
        if not some.all():
            yield "timescale_copy_doubles", (at[~some], rows.series_id[~some], rows.value[~some])

    def _scale(self, rows: Rows) -> scaled.Scaled:
        known = self._known(int(rows.series_id.max()) + 1)
        found = scaled.scale_by(rows.value, known[rows.series_id])
        odd = np.flatnonzero(~found.exact)
        if not len(odd):
            return found
        needed = scaled.needed_exponent(rows.value[odd])
        np.maximum.at(known, rows.series_id[odd], needed)
        exponent = known[rows.series_id]
        found = scaled.scale_by(rows.value, exponent)
        too_large = ~found.exact  # few digits after the point, where others of its series need many
        too_large[odd[needed < 0]] = False
        if not too_large.any():
            return found
        exponent[too_large] = scaled.needed_exponent(rows.value[too_large])
        return scaled.scale_by(rows.value, exponent)

    def _known(self, size: int) -> NDArray[np.int8]:
        """The exponents of series below `size`. What threads that grow it at once forget is learnt again."""
        known = self._exponent
        if len(known) < size:
            self._exponent = known = np.pad(known, (0, max(size, 2 * len(known)) - len(known)))
        return known


def of_engine(engine: str) -> RawRows:
    """How this engine keeps raw samples."""
    return ScaledIntegers() if engine == "timescaledb" else Plain()
