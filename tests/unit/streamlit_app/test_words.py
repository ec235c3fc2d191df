"""States and changes in words."""

from muninn.model import SeriesKey
from muninn.reads import Change, MetricInfo, PartHealth
from streamlit_app.widgets import words


def change(before: float, now: float, change_pct: float | None) -> Change:
    key = SeriesKey.of("disk_read", {"host": "a"})
    return Change(key, "B/s", "up" if now > before else "down", before, now, 1.0, 4.0, change_pct, "It changed.")


def test_troubled_parts_are_told_with_what_to_do_once() -> None:
    parts = [
        PartHealth("gateway", "ok", ()),
        PartHealth("loader", "down", ("gives no sign of life",)),
        PartHealth("refresher", "degraded", ("one has been silent for 9 s.",)),
        PartHealth("buffer", "degraded", ("samples take 12 s",)),
    ]
    text = words.trouble_text(parts)
    assert "- **loader** is down: gives no sign of life." in text
    assert "- **refresher** is degraded: one has been silent for 9 s." in text
    assert "gateway" not in text
    assert text.count("`muninn status`") == 1
    assert "MUNINN_LOADER_COUNT" in text


def test_nothing_is_told_while_all_is_well() -> None:
    assert words.trouble_text([PartHealth("gateway", "ok", ())]) == ""


def test_a_change_is_told_relative_to_before() -> None:
    assert words.change_delta(change(10, 14, 40.0)) == "+40 %"
    assert words.change_delta(change(10, 5, -50.0)) == "-50 %"
    assert words.change_delta(change(10, 40, 300.0)) == "×4"
    assert words.change_delta(change(0, 2048, None)) == "+2 KiB/s"
    assert words.change_delta(change(0, -2048, None)) == "-2 KiB/s"


def test_a_series_has_an_address_in_explore() -> None:
    key = SeriesKey.of("cpu", {"host": "a", "cpu": "0"})
    assert words.explore_params(key) == {"metric": "cpu", "label.cpu": "0", "label.host": "a"}


def test_markdown_in_names_is_shown_and_not_obeyed() -> None:
    assert words.escaped("a_b*c [x](y) $z$") == r"a\_b\*c \[x\]\(y\) \$z\$"


def test_a_metric_is_told_in_a_line() -> None:
    known = MetricInfo("cpu_pct", "gauge", "%", "share of time", (), 1200, None)
    bare = MetricInfo("things", "counter", "", "", (), 1, None)
    assert words.metric_text(known) == "share of time; gauge in %, 1,200 series"
    assert words.metric_text(bare) == "counter, 1 series"
