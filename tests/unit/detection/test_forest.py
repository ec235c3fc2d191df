"""The multivariate model: equal to the library's scores, contributions that add up, and what it finds."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from muninn.detection import training
from muninn.detection.features import MODELLED
from muninn.detection.forest import Model
from muninn.detection.places import COLUMN, FeatureRows, Places
from muninn.detection.training import Figures, evaluate, in_peace, may_replace, train
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.model.scores import ANOMALY

if TYPE_CHECKING:  # Its import takes seconds, which only those who train should pay.
    from sklearn.ensemble import IsolationForest

MINUTE = 60_000_000
NAMES = ("response_mean", "cpu", "memory", "error_rate")


def rows(minutes: int, seed: int = 0, **off: float) -> list[FeatureRows]:
    """Minutes of two places of which the second has no errors; `off` is added, in standard deviations."""
    random, found = np.random.default_rng(seed), []
    for minute in range(minutes):
        values = np.full((2, len(MODELLED)), np.nan)
        load = random.normal()
        for place, level in enumerate((1.0, 1000.0)):
            for name in NAMES[: 4 - place]:
                noise = 0.7 * load + 0.3 * random.normal() + off.get(name, 0.0)
                values[place, COLUMN[name]] = level * (10 + noise)
        found.append(FeatureRows(minute * MINUTE, ("a", "b"), ("agent", "agent"), values))
    return found


@pytest.fixture(scope="module")
def model() -> Model:
    return train(rows(1_000), MODELLED)


def test_it_scores_as_the_library_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {}
    inner = training._trees

    def keep(forest: "IsolationForest") -> object:
        kept["forest"] = forest
        return inner(forest)

    monkeypatch.setattr(training, "_trees", keep)
    model = train(rows(300), MODELLED)
    far = np.random.default_rng(1).normal(size=(200, len(model.columns))) * 3
    # It splits in float32.
    far = far.astype(np.float32).astype(np.float64)
    assert_allclose(model.rarity(far), -kept["forest"].score_samples(far), rtol=1e-9)


def test_what_a_place_does_not_have_is_left_out(model: Model) -> None:
    assert set(model.columns) == set(NAMES)
    known, far = model.measured(rows(1)[0], MODELLED)
    assert known.tolist() == [0, 1]
    assert far[1, model.columns.index("error_rate")] == 0
    stranger = FeatureRows(0, ("c",), ("agent",), rows(1)[0].values[:1])
    assert len(model.measured(stranger, MODELLED)[0]) == 0


def test_confidence_falls_with_the_features_that_a_place_does_not_show(model: Model) -> None:
    minute = rows(1)[0]
    known, _ = model.measured(minute, MODELLED)
    assert model.confidence(minute, known, MODELLED).tolist() == [1.0, 1.0], "the second has no errors, ever"
    minute.values[:, COLUMN["cpu"]] = np.nan
    first, second = model.confidence(minute, known, MODELLED).tolist()
    assert (first, second) == (pytest.approx(3 / 4), pytest.approx(2 / 3))


def test_shapley_values_add_up(model: Model) -> None:
    far = np.zeros(len(model.columns))
    far[model.columns.index("cpu")], far[model.columns.index("memory")] = 9.0, -7.0
    values = model.shapley(far)
    whole = model.raw(np.stack([far, np.zeros(len(far))]))
    assert values.sum() == pytest.approx(whole[0] - whole[1], abs=1e-12)
    shares = model.shares(far, 0.9)
    assert np.abs(shares).sum() == pytest.approx(0.9)
    assert shares[model.columns.index("cpu")] > 0 > shares[model.columns.index("memory")]


def test_quiet_minutes_score_low_and_odd_ones_high(model: Model) -> None:
    quiet = evaluate(model, rows(500, seed=5), MODELLED)
    assert quiet.false_share < 0.01
    assert quiet.found_share > 0.8
    assert (quiet.rows, quiet.places) == (1_000, 2)
    _, far = model.measured(rows(1, seed=6, cpu=9.0, memory=9.0)[0], MODELLED)
    assert (model.score(model.raw(far)) > ANOMALY).all()


def test_it_comes_back_from_bytes(model: Model) -> None:
    again = Model.from_bytes(model.to_bytes())
    far = np.random.default_rng(2).normal(size=(50, len(model.columns))) * 4
    assert (again.score(again.raw(far)) == model.score(model.raw(far))).all()
    assert (again.columns, dict(again.places)) == (model.columns, dict(model.places))
    for wrong in (b"", b"abc", model.to_bytes()[:200]):
        with pytest.raises(Invalid):
            Model.from_bytes(wrong)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(Invalid, match="more days"):
        train(rows(50), MODELLED)


def test_incidents_are_not_learned_unless_they_last() -> None:
    minutes = rows(1_000)
    ill = rows(1_000, seed=1, cpu=9.0, memory=9.0)
    # An hour of a day, and the last half of the time.
    short, lasting = Window(100 * MINUTE, 160 * MINUTE), Window(500 * MINUTE, 1_000 * MINUTE)
    given = minutes[:100] + ill[100:160] + minutes[160:]
    kept = in_peace(given, [("a", short)])
    assert [len(each) for each in kept[:98]] == [2] * 98
    assert {each.places for each in kept[98:161]} == {("b",)}
    assert [len(each) for each in kept[161:]] == [2] * 839
    assert [kept[row].values[0, COLUMN["cpu"]] for row in (98, 160)] == [
        given[row].values[1, COLUMN["cpu"]] for row in (98, 160)
    ]
    bad = [row.without({"b"}) for row in ill[100:160]]

    def found(model: Model) -> float:
        return float(
            (model.score(np.concatenate([model.raw(model.measured(r, MODELLED)[1]) for r in bad])) > 0.8).mean()
        )

    learned = [row.without({"b"}) for row in given]
    assert found(train(learned, MODELLED)) < 0.2, "60 minutes of 1,000 are normal to a model that saw them"
    assert found(train([row.without({"b"}) for row in kept], MODELLED)) > 0.9
    assert sum(len(each) for each in in_peace(given, [("b", lasting)])) == 2 * 1_000 - 363


def test_a_worse_model_does_not_replace_the_one_in_use() -> None:
    good, loud, blind = Figures(100, 2, 0.001, 0.9), Figures(100, 2, 0.1, 0.9), Figures(100, 2, 0.0, 0.5)
    assert may_replace(good, None) == (True, "there was no model in use")
    assert may_replace(good, good)[0]
    assert not may_replace(loud, good)[0]
    assert not may_replace(blind, good)[0]
    assert not may_replace(Figures(0, 0, 0.0, 0.0), None)[0]


def test_places_give_a_row_of_features_each_minute() -> None:
    places = Places()
    keys = [
        SeriesKey.of("cpu_busy_pct", {"cpu": "total"}, "agent", "a"),
        SeriesKey.of("memory_used_pct", None, "agent", "a"),
        SeriesKey.of("http_errors_per_s", {"code": "500"}, "agent", "a"),
        SeriesKey.of("cpu_busy_pct", {"cpu": "total"}, "agent", "alone"),
        SeriesKey.of("room_temperature_celsius", None, "agent", "a"),
    ]
    index = np.arange(5)
    monday = 1_767_571_200_000_000
    assert places.close(monday) is None
    places.take(keys, index, np.array([10.0, 50.0, 1.0, 5.0, 21.0]))
    places.take(keys, index, np.array([20.0, 50.0, 3.0, 5.0, 21.0]))
    assert places.close(monday + MINUTE - 1) is None
    found = places.close(monday + MINUTE)
    assert found is not None
    assert (found.places, found.agents) == (("a",), ("agent",)), "one feature alone is no place to model"
    row = dict(zip(MODELLED, found.values[0].tolist(), strict=True))
    assert (row["cpu"], row["memory"], row["error_rate"], row["weekday"]) == (15.0, 50.0, 2.0, 0.0)
    assert row["hour"] == pytest.approx(1 / 60)
    assert np.isnan(row["memory_trend"])
    for minute in range(2, 70):
        places.take(keys, index, np.array([15.0, 50.0 + minute, 2.0, 5.0, 21.0]))
        found = places.close(monday + minute * MINUTE)
    assert found is not None
    row = dict(zip(MODELLED, found.values[0].tolist(), strict=True))
    assert row["memory_trend"] > 10
    assert row["error_trend"] == pytest.approx(0.0, abs=0.1)
    assert np.isnan(row["response_trend"])


def minute_of(shown: Sequence[tuple[str, dict[str, str], float]]) -> dict[str, float]:
    """The features of a place that shows these figures in one minute."""
    places, monday = Places(), 1_767_571_200_000_000
    keys = [SeriesKey.of(metric, labels, "agent", "a") for metric, labels, _ in shown]
    places.close(monday)
    places.take(keys, np.arange(len(keys)), np.array([value for *_, value in shown]))
    found = places.close(monday + MINUTE)
    assert found is not None
    return dict(zip(MODELLED, found.values[0].tolist(), strict=True))


def test_several_series_are_one_feature_as_the_table_says() -> None:
    row = minute_of(
        [
            ("http_errors_per_s", {"code": "500"}, 1.0),
            ("http_errors_per_s", {"code": "503"}, 3.0),
            ("worker_cpu_pct", {"worker": "1"}, 20.0),
            ("worker_cpu_pct", {"worker": "2"}, 90.0),
            ("response_time_ms", {"path": "/"}, 10.0),
            ("response_time_ms", {"path": "/slow"}, 30.0),
            ("memory_used_bytes", {}, 8e9),
            ("memory_used_pct", {}, 50.0),
            ("process_memory_bytes", {"process": "x"}, 1e9),
        ]
    )
    assert (row["error_rate"], row["cpu"], row["response_mean"], row["memory"]) == (4.0, 90.0, 20.0, 50.0)


def test_what_prometheus_clients_and_exporters_show_is_made_into_features() -> None:
    row = minute_of(
        [
            ("http_request_duration_seconds_sum", {"path": "/"}, 12.0),
            ("http_request_duration_seconds_sum", {"path": "/slow"}, 8.0),
            ("http_request_duration_seconds_count", {"path": "/"}, 90.0),
            ("http_request_duration_seconds_count", {"path": "/slow"}, 10.0),
            ("http_request_duration_seconds_bucket", {"path": "/", "le": "0.5"}, 90.0),
            ("db_query_duration_seconds_sum", {}, 2.0),
            ("db_query_duration_seconds_count", {}, 400.0),
            ("node_cpu_seconds_total", {"cpu": "0", "mode": "idle"}, 0.9),
            ("node_cpu_seconds_total", {"cpu": "1", "mode": "idle"}, 0.5),
            ("node_memory_MemAvailable_bytes", {}, 2e9),
            ("node_memory_MemTotal_bytes", {}, 8e9),
            ("redis_keyspace_hits_total", {}, 30.0),
            ("redis_keyspace_misses_total", {}, 10.0),
        ]
    )
    assert (row["response_mean"], row["request_rate"]) == (pytest.approx(0.2), 100.0)
    assert (row["db_time"], row["query_rate"]) == (pytest.approx(0.005), 400.0)
    assert (row["cpu"], row["memory"], row["cache_hit"]) == (pytest.approx(30.0), pytest.approx(75.0), 75.0)
    assert np.isnan(row["response_p95"]), "what is not there is not invented"


def test_the_95th_percentile_is_read_from_buckets() -> None:
    name, paths = "http_request_duration_seconds_bucket", ("/", "/slow")
    counted = {"0.1": (60.0, 0.0), "0.5": (80.0, 10.0), "1": (80.0, 15.0), "+Inf": (80.0, 20.0)}
    shown = [
        (name, {"path": path, "le": le}, rates[place])
        for place, path in enumerate(paths)
        for le, rates in counted.items()
    ]
    shown += [("memory_used_pct", {}, 50.0), (name, {"le": "none"}, 9e9)]
    assert minute_of(shown)["response_p95"] == pytest.approx(1.0), "95 of 100 took at most a second"
    shown[2 + 4] = (name, {"path": "/slow", "le": "1"}, 16.0)
    assert minute_of(shown)["response_p95"] == pytest.approx(0.5 + 0.5 * 5 / 6)
    idle = [(metric, labels, 0.0 if metric == name else value) for metric, labels, value in shown]
    assert np.isnan(
        minute_of([*idle, ("swap_used_pct", {}, 1.0), ("cpu_busy_pct", {"cpu": "total"}, 1.0)])["response_p95"]
    )


def test_a_service_without_figures_of_its_host_is_modelled_by_its_process() -> None:
    shown = [("process_resident_memory_bytes", {}, 1e9), ("process_cpu_seconds_total", {}, 0.4)]
    row = minute_of(
        [*shown, ("http_requests_total", {"code": "200"}, 90.0), ("http_requests_total", {"code": "503"}, 2.0)]
    )
    assert (row["memory"], row["cpu"], row["request_rate"], row["error_rate"]) == (1e9, 0.4, 90.0, 2.0)


def test_a_part_of_a_sum_that_comes_seldom_is_part_of_it() -> None:
    places, monday = Places(), 1_767_571_200_000_000
    keys = [SeriesKey.of("http_errors_per_s", {"code": code}, "agent", "a") for code in ("500", "503")]
    keys.append(SeriesKey.of("memory_used_pct", None, "agent", "a"))
    places.close(monday)
    rates = []
    for minute in range(1, 9):
        index = np.array([0, 1, 2]) if minute == 1 else np.array([0, 2])
        places.take(keys, index, np.full(len(index), 2.0))
        found = places.close(monday + minute * MINUTE)
        assert found is not None
        rates.append(found.values[0, COLUMN["error_rate"]])
    assert rates == [4.0] * 6 + [2.0] * 2


def trend_of(places: Places, keys: list[SeriesKey], since: int, minutes: int, now_us: int) -> float:
    """Memory's trend of place "a" after so many minutes in which it rises by 1 a minute from 50 + since."""
    found = None
    for minute in range(since, since + minutes):
        level = 50.0 + minute
        places.take(keys, np.arange(len(keys)), np.full(len(keys), level))
        found = places.close(now_us + minute * MINUTE)
    assert found is not None
    return float(found.values[found.places.index("a"), COLUMN["memory_trend"]])


def test_trends_of_an_hour_go_on_after_a_restart_unless_too_much_was_missed() -> None:
    monday = 1_767_571_200_000_000
    keys = [SeriesKey.of(metric, None, "agent", "a") for metric in ("memory_used_pct", "http_errors_per_s")]
    steady, restarted, late = Places(), Places(), Places()
    expected = trend_of(steady, keys, 0, 100, monday)
    trend_of(restarted, keys, 0, 90, monday)
    saved = restarted.to_bytes()
    restarted = Places()
    restarted.restore(saved, monday + 92 * MINUTE)
    assert trend_of(restarted, keys, 90, 10, monday) == pytest.approx(expected)
    late.restore(saved, monday + 180 * MINUTE)
    assert np.isnan(trend_of(late, keys, 180, 10, monday))
    for data in (b"", b"{}", b'{"minute": 1, "trends": {"a": ["agent", 1, [1], [2]]}}'):
        with pytest.raises(Invalid):
            Places().restore(data, monday)


def test_places_of_which_nothing_is_left_are_forgotten_and_the_others_keep_their_trends() -> None:
    monday = 1_767_571_200_000_000
    keys = [SeriesKey.of(metric, None, "agent", "a") for metric in ("memory_used_pct", "http_errors_per_s")]
    steady, churned = Places(), Places()
    expected = trend_of(steady, keys, 0, 100, monday)
    for hour in range(5):
        pods = [SeriesKey.of("memory_used_pct", None, "agent", f"pod-{hour}-{n}") for n in range(50)]
        trend_of(churned, [*pods, *keys], 20 * hour, 19, monday)
        churned.renumber(keys)
        found = trend_of(churned, keys, 20 * hour + 19, 1, monday)
    assert found == pytest.approx(expected)
    assert list(json.loads(churned.to_bytes())["trends"]) == ["a"]
