"""What the store takes, to the last value and instant."""

import numpy as np
import pytest

from muninn.model import SampleBatch, SeriesKey, Window
from muninn.store.admission import admit

KEY = SeriesKey.of("m")
WINDOW = Window(1000, 2000)
IDS = np.array([1], np.int32)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e290, -1e290, 1e-290, -1e-290, 3.5])
def test_values_of_a_size_that_sums_can_hold_are_taken(value: float) -> None:
    good, refused = admit(SampleBatch.of([(KEY, 1500, value)]), WINDOW, IDS)
    assert (good.tolist(), refused) == ([True], ())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.1e290, -1e300, 9e-291, -5e-324])
def test_other_values_are_refused(value: float) -> None:
    good, refused = admit(SampleBatch.of([(KEY, 1500, value)]), WINDOW, IDS)
    assert good.tolist() == [False]
    assert [(each.samples, each.key, each.at_us) for each in refused] == [(1, KEY, 1500)]


def test_the_window_is_half_open() -> None:
    batch = SampleBatch.of([(KEY, at, 1.0) for at in (999, 1000, 1999, 2000)])
    good, refused = admit(batch, WINDOW, IDS)
    assert good.tolist() == [False, True, True, False]
    assert [each.reason for each in refused] == ["older than what is kept", "too far in the future"]


def test_a_sample_with_two_faults_counts_once() -> None:
    good, refused = admit(SampleBatch.of([(KEY, 0, np.nan), (KEY, 0, 1.0)]), WINDOW, IDS)
    assert not good.any()
    assert [each.samples for each in refused] == [1, 1]


def test_samples_of_a_key_that_can_not_be_kept_are_refused() -> None:
    other = SeriesKey.of("m", {"host": "a\0b"})
    batch = SampleBatch.of([(KEY, 1500, 1.0), (other, 1500, 2.0), (other, 1600, 3.0)])
    good, refused = admit(batch, WINDOW, np.array([5, -1], np.int32))
    assert good.tolist() == [True, False, False]
    assert [(each.reason, each.samples) for each in refused] == [("names and labels must not hold a NUL character", 2)]


def test_whatever_is_refused_is_kept_however_much_it_is() -> None:
    batch = SampleBatch.of([(KEY, 0, float(number)) for number in range(120_000)])
    (refused,) = admit(batch, WINDOW, IDS)[1]
    entry = np.repeat(np.arange(2), 60_000)
    kept = dict(refused.by_entry(entry))
    assert [len(kept[0]), len(kept[1])] == [60_000, 60_000]
    assert np.concatenate([kept[0].value, kept[1].value]).tolist() == batch.value.tolist()
