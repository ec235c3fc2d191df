"""A batch of scores: its columns, its wire form, what damage does."""

import numpy as np
import pytest

from muninn.errors import Invalid
from muninn.model import ScoreBatch, SeriesKey
from muninn.model.scores import decode, encode

KEYS = tuple(SeriesKey.of("cpu", {"core": str(core)}) for core in range(3))


def made(n: int = 5) -> ScoreBatch:
    random = np.random.default_rng(0)
    columns = [random.uniform(size=n) for _ in range(6)]
    index = random.integers(0, 3, n).astype(np.int32)
    return ScoreBatch(
        9, np.arange(n), index, KEYS, *columns, columns[0] > 0.5, random.normal(size=(n, 2)), ("value", "change")
    )


def test_columns_of_different_length_are_refused() -> None:
    good = made()
    with pytest.raises(Invalid, match="differ in length"):
        ScoreBatch(**{**vars(good), "low": good.low[1:]})
    with pytest.raises(Invalid, match="differ in length"):
        ScoreBatch(**{**vars(good), "views": ("value",)})


def test_taking_rows_keeps_only_their_keys() -> None:
    batch = made(50)
    rows = batch.key_index == 2
    part = batch.take(rows)
    assert part.keys == (KEYS[2],)
    assert (part.key_index == 0).all()
    assert (part.score == batch.score[rows]).all()
    assert (part.contributions == batch.contributions[rows]).all()
    assert (part.until_us, part.views) == (9, batch.views)
    nothing = batch.take(batch.score > 2)
    assert (len(nothing), nothing.keys) == (0, ())


def test_reasons_are_the_largest_shares_and_no_zeros() -> None:
    batch = made(1)
    batch.contributions[0] = (-0.5, 0.0)
    assert batch.reasons(0) == [("value", -0.5)]


def test_a_row_is_small_on_the_wire() -> None:
    batch = made(10_000)
    size = sum(map(len, encode(batch).values()))
    assert size / len(batch) < 8 + 4 + 4 * 8 + 2 * 4 + 2 * 4 + 1


@pytest.mark.parametrize("field", [name.decode() for name in encode(made())])
def test_damage_is_told(field: str) -> None:
    fields = encode(made())
    for spoiled in (None, fields[field.encode()][:-1] + b"\xff\xff"):
        damaged = {name: value for name, value in fields.items() if name != field.encode()}
        if spoiled is not None:
            damaged[field.encode()] = spoiled
        with pytest.raises(Invalid):
            decode(damaged)
