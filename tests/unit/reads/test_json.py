"""Answers as JSON: arrays are written whatever way they lie in memory."""

import numpy as np
import orjson
import pytest

from muninn.reads.http import to_json

WHOLE = np.arange(6.0)


@pytest.mark.parametrize("array", [WHOLE, WHOLE.reshape(3, 2)[:, 0], WHOLE[::-1]])
def test_an_array_is_its_numbers(array: np.ndarray) -> None:
    assert orjson.loads(to_json({"points": array}))["points"] == array.tolist()
