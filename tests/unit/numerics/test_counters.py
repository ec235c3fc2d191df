"""The rule for resets."""

import numpy as np
import pytest

from muninn.numerics import counters


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([5], 0),
        ([5, 5, 5], 0),
        ([1, 4, 9], 8),
        ([9, 0], 0),
        ([9, 4], 4),
        ([9, 4, 6, 0, 1, 1], 4 + 2 + 0 + 1 + 0),
    ],
)
def test_growth_counts_from_zero_after_a_reset(samples: list[float], expected: float) -> None:
    assert counters.increase(np.array(samples, float)) == expected
