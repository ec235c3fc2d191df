"""What is forgotten when a memory is full: drawn by lot.

Who forgets what was used longest ago, of a set that is asked for in turn and is a little too large, forgets each time
just what is asked for next, and knows nothing any more. By lot, what fits is found.
"""

import numpy as np
from numpy.typing import NDArray


def by_lot(count: int, kept: int) -> NDArray[np.bool_]:
    """bool[count]: `kept` of them, chosen at random (none if it is less than 0)."""
    chosen = np.zeros(count, np.bool_)
    chosen[np.random.default_rng().permutation(count)[: max(0, kept)]] = True
    return chosen
