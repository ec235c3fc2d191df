"""The feed: in order, from the same position after the buffer was away."""

import threading
from collections.abc import Sequence

from muninn.clock import ManualClock
from muninn.errors import Unavailable
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.stream.feed import REACH_BACK_MS, Feed

KEY = SeriesKey.of("m")


class ScriptedSource:
    """Answers as scripted, then sets `stop`; remembers from where it was asked."""

    def __init__(self, answers: list[object], stop: threading.Event):
        self.asked: list[str] = []
        self._answers = answers
        self._stop = stop

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:
        self.asked.append(after_id)
        answer = self._answers.pop(0)
        if not self._answers:
            self._stop.set()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, list)
        return answer


def entry(id: str) -> BatchHandle:
    return BatchHandle("muninn:ingest:0", id, SampleBatch.of([(KEY, 0, 1.0)]))


def run(answers: list[object]) -> tuple[ScriptedSource, list[str], list[tuple[bool, str]], ManualClock]:
    stop, clock = threading.Event(), ManualClock()
    source = ScriptedSource(answers, stop)
    taken: list[str] = []
    told: list[tuple[bool, str]] = []
    Feed(
        source,
        lambda handles: taken.extend(handle.entry_id for handle in handles),
        lambda live, reason: told.append((live, reason)),
        clock,
    ).run(stop)
    return source, taken, told, clock


def test_it_starts_a_little_before_now_and_goes_on_after_the_last_entry() -> None:
    source, taken, told, _ = run([[entry("5-0"), entry("6-0")], [], [entry("7-1")], []])
    start = ManualClock().now_us() // 1000 - REACH_BACK_MS
    assert source.asked == [f"{start}-0", "6-0", "6-0", "7-1"]
    assert taken == ["5-0", "6-0", "7-1"]
    assert set(told) == {(True, "")}


def test_an_outage_is_told_waited_out_and_nothing_is_lost() -> None:
    away = Unavailable("connection refused")
    source, taken, told, clock = run([[entry("5-0")], away, away, RuntimeError("odd"), [entry("6-0")], []])
    assert source.asked[1:] == ["5-0", "5-0", "5-0", "5-0", "6-0"]
    assert taken == ["5-0", "6-0"]
    assert [live for live, _ in told] == [True, False, False, True, True]
    assert "connection refused" in told[1][1]
    waited_s = (clock.now_us() - ManualClock().now_us()) / 1e6
    assert waited_s == 0.0 + 0.25 + 0.5


def test_a_connection_that_was_closed_while_idle_is_no_outage() -> None:
    _, taken, told, _ = run([[entry("5-0")], Unavailable("closed by server"), [entry("6-0")], []])
    assert taken == ["5-0", "6-0"]
    assert [live for live, _ in told] == [True, True, True]
