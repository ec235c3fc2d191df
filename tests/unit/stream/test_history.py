"""Rings and delta logs against plain models of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.stream.history import DeltaLog, Ring

POINTS = st.lists(st.tuples(st.integers(0, 40), st.floats(-1e6, 1e6)), max_size=12)
STEPS = st.lists(st.tuples(st.sampled_from(["take", "fill", "drop"]), POINTS, st.integers(0, 40)), max_size=12)


@given(STEPS, st.integers(1, 30))
def test_a_ring_holds_what_a_dict_would(steps: list[tuple[str, list[tuple[int, float]], int]], limit: int) -> None:
    ring = Ring(limit)
    model: dict[int, float] = {}
    for what, points, oldest in steps:
        at_ms = np.array([at for at, _ in points], np.int64)
        value = np.array([value for _, value in points], np.float64)
        if what == "take":
            ring.take(at_ms, value)
            model.update(points)
        elif what == "fill":
            ring.fill(at_ms, value)
            model = {**dict(points), **model}
        else:
            ring.drop_before(oldest)
            model = {at: value for at, value in model.items() if at >= oldest}
        model = dict(sorted(model.items())[-limit:])
        here_at, here_value = ring.points()
        assert dict(zip(here_at.tolist(), here_value.tolist(), strict=True)) == model
        assert here_at.tolist() == sorted(model)
        assert len(ring) == len(model)
        assert ring.newest_ms == max(model, default=None)


def test_points_since_and_newest() -> None:
    ring = Ring(100)
    for at in range(10):
        ring.take(np.array([at * 1000]), np.array([float(at)]))
    assert ring.points(since_ms=7000)[0].tolist() == [7000, 8000, 9000]
    assert ring.points(limit=2)[1].tolist() == [8.0, 9.0]
    assert ring.points(since_ms=7000, limit=5)[0].tolist() == [7000, 8000, 9000]


def test_a_ring_stays_small_however_much_passes_through() -> None:
    ring = Ring(50)
    for at in range(10_000):
        ring.take(np.array([at]), np.array([float(at)]))
    assert ring.points()[0].tolist() == list(range(9_950, 10_000))
    assert len(ring._at) <= 4 * 50


@given(st.lists(st.integers(1, 20), max_size=40), st.integers(1, 10), st.integers(10, 80), st.integers(0, 45))
def test_a_delta_log_gives_all_after_an_offset_or_nothing(
    sizes: list[int], max_frames: int, max_bytes: int, offset: int
) -> None:
    log = DeltaLog(max_frames, max_bytes)
    frames = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    for frame in frames:
        log.append(frame)
    assert log.offset == len(frames)
    found = log.after(offset)
    if offset > len(frames):
        assert found is None
        return
    missed = frames[offset:]
    fits = len(missed) <= max_frames and sum(map(len, missed)) <= max_bytes
    assert found == (missed if fits else None)
