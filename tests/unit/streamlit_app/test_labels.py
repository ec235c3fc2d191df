"""A legend tells series apart by as little as is needed."""

from hypothesis import given
from hypothesis import strategies as st

from muninn.model import SeriesKey
from streamlit_app.widgets.labels import Legend, legend


def test_only_the_labels_that_differ_are_named() -> None:
    keys = [SeriesKey.of("cpu", {"host": "a", "mode": mode, "cpu": "0"}) for mode in ("user", "system")]
    assert legend(keys) == Legend("mode", ("user", "system"))


def test_two_labels_that_differ_are_both_named() -> None:
    keys = [SeriesKey.of("cpu", {"cpu": cpu, "mode": mode}) for cpu in "01" for mode in ("user", "idle")]
    assert legend(keys) == Legend("cpu · mode", ("0 · user", "0 · idle", "1 · user", "1 · idle"))


def test_one_series_is_called_by_its_metric() -> None:
    assert legend([SeriesKey.of("load_1m", {"host": "a"})]) == Legend("", ("load_1m",))


def test_metrics_differ() -> None:
    keys = [SeriesKey.of("load_1m", {"host": "a"}), SeriesKey.of("load_5m", {"host": "a"})]
    assert legend(keys) == Legend("metric", ("load_1m", "load_5m"))


def test_a_label_that_some_lack_shows_as_absent() -> None:
    keys = [SeriesKey.of("m", {"device": "sda"}), SeriesKey.of("m")]
    assert legend(keys) == Legend("device", ("sda", "–"))


def test_a_label_that_echoes_another_is_left_out() -> None:
    keys = [SeriesKey.of("m", {"host": name, "node": name}) for name in ("a", "b")]
    assert legend(keys) == Legend("host", ("a", "b"))


def test_instance_is_named_only_where_labels_do_not_tell_apart() -> None:
    alike = [SeriesKey.of("m", {"host": "a"}, "agent", instance) for instance in ("one", "two")]
    assert legend(alike) == Legend("instance", ("one", "two"))
    apart = [SeriesKey.of("m", {"host": name}, "agent", name) for name in ("a", "b")]
    assert legend(apart) == Legend("host", ("a", "b"))


_keys = st.builds(
    SeriesKey.of,
    st.sampled_from(["m", "n"]),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])),
    st.sampled_from(["", "agent"]),
    st.sampled_from(["", "one", "two"]),
)


@given(st.lists(_keys, min_size=1, max_size=8, unique=True))
def test_names_are_as_distinct_as_the_series(keys: list[SeriesKey]) -> None:
    assert len(set(legend(keys).names)) == len(keys)
