"""Silence is borne for a while, and not for ever."""

from muninn.run.watch import Patience

WHO = ("gateway", 7)


def test_patience_runs_out_once() -> None:
    patience = Patience(30)
    assert patience.exhausted(0, {WHO: False}) == []
    assert patience.exhausted(29, {WHO: False}) == []
    assert patience.exhausted(30, {WHO: False}) == ["gateway"]
    assert patience.exhausted(31, {WHO: False}) == []


def test_an_answer_starts_it_anew() -> None:
    patience = Patience(30)
    patience.exhausted(0, {WHO: False})
    patience.exhausted(20, {WHO: True})
    assert patience.exhausted(40, {WHO: False}) == []
    assert patience.exhausted(70, {WHO: False}) == ["gateway"]


def test_a_new_process_has_all_the_time() -> None:
    patience = Patience(30)
    patience.exhausted(0, {WHO: False})
    assert patience.exhausted(40, {("gateway", 8): False}) == []


def test_one_does_not_answer_for_another() -> None:
    patience = Patience(30)
    other = ("sidecar", 9)
    patience.exhausted(0, {WHO: False, other: True})
    assert patience.exhausted(30, {WHO: False, other: False}) == ["gateway"]
