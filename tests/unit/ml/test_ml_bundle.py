"""The bundle: one calibrated score, honest about what nobody has labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.bundle import EquipmentAnomalyDetector, time_folds
from ml.calibration import CEILING, Tail
from ml.errors import RegistryError
from ml.features import MEASUREMENTS
from ml.registry import load_bundle
from ml.scorecard import (
    CONTINUE,
    NO_PRECEDENT,
    Scorecard,
)
from tests.unit.ml.deviations import COLUMN, made_up, shift


def test_known_faults_get_their_action(taught: EquipmentAnomalyDetector) -> None:
    x = made_up(np.random.default_rng(3), 200)
    worn = taught.score_windows(shift(x, "vibration", np.full(200, 7.0)))
    hot = taught.score_windows(shift(x, "temperature", np.full(200, 7.0)))
    assert (worn.action == "schedule_maintenance").mean() > 0.97
    assert (hot.action == "reduce_speed").mean() > 0.97
    assert worn.anomaly.min() >= 0.7
    assert np.median(worn.confidence) >= 0.75
    assert np.isfinite(worn.hours_to_failure).all()
    assert 1 <= np.median(worn.hours_to_failure) <= 6
    assert (worn.ttf_low <= worn.hours_to_failure).all() and (worn.hours_to_failure <= worn.ttf_high).all()
    assert np.median(worn.failure_24h) > 0.9
    assert np.isnan(worn.failure_72h).all(), "it has learnt no further than a day"


def test_a_fault_that_grows_in_minutes_shows_before_the_hour_moves(taught: EquipmentAnomalyDetector) -> None:
    x = made_up(np.random.default_rng(4), 100)
    x[:, COLUMN["vibration_deviation_5m"]] += 7
    scores = taught.score_windows(x)
    assert (scores.action == "schedule_maintenance").mean() > 0.95
    assert scores.anomaly.min() >= 0.7


def test_normal_operation_seldom_reaches_the_bands(taught: EquipmentAnomalyDetector) -> None:
    fresh = taught.score_windows(made_up(np.random.default_rng(5), 20_000))
    assert (fresh.anomaly >= 0.5).mean() < 0.005
    assert (fresh.anomaly >= 0.9).mean() < 0.001
    assert (fresh.action[fresh.anomaly < 0.5] == "continue_operation").all()
    assert np.isnan(fresh.hours_to_failure[(fresh.anomaly < 0.5) & (fresh.failure_24h < 0.5)]).all()
    assert (fresh.failure_24h >= 0.5).mean() < 0.002
    assert fresh.anomaly.min() >= 0 and fresh.anomaly.max() <= 1


def test_an_unlabelled_extreme_is_critical(taught: EquipmentAnomalyDetector, normal: np.ndarray) -> None:
    card = taught.scorecard
    extreme = np.quantile(card.unsupervised(normal, None), 0.9999)
    assert card.combine(np.zeros(1), np.array([extreme]))[0] >= 0.9
    strange = taught.score_windows(shift(normal[:50], "pressure", np.full(50, 15.0)))
    assert strange.anomaly.min() >= 0.9
    assert set(strange.action) == {NO_PRECEDENT}
    assert not strange.precedent.any()
    assert np.isnan(strange.hours_to_failure).all()


def test_what_the_classifier_sees_nothing_of_has_no_precedent(normal: np.ndarray) -> None:
    """Half of the windows of growing faults show nothing yet, as normal operation does."""
    causes = {"vibration": "schedule_maintenance", "pressure": "check_blockage", "temperature": "reduce_speed"}
    faulty = made_up(np.random.default_rng(31), 200 * len(causes))
    by = np.tile([0.0, 8.0], len(faulty) // 2)
    for number, cause in enumerate(causes):
        own = np.arange(len(faulty)) // 200 == number
        faulty[own] = shift(faulty[own], cause, by[own])
    actions = np.concatenate([np.full(len(normal), CONTINUE), np.repeat(list(causes.values()), 200)])
    bundle = EquipmentAnomalyDetector(trees=40, isolation_trees=20).fit(np.vstack([normal, faulty]), actions)
    told = bundle.score_windows(faulty[by > 0])
    assert np.array_equal(told.action, np.repeat(list(causes.values()), 100)) and told.precedent.all()
    quiet = made_up(np.random.default_rng(33), 1)
    quiet[:, [COLUMN[f"{m}_deviation_5m"] for m in MEASUREMENTS]] = 2.9
    scores = bundle.score_windows(quiet)
    assert scores.anomaly[0] >= 0.9, "all of it at once never happened"
    assert scores.supervised[0] < 0.25, "within the normal spread no fault is known"
    assert scores.action[0] == NO_PRECEDENT and not scores.precedent[0]


def test_a_long_fault_counts_no_more_than_short_ones(normal: np.ndarray) -> None:
    """Vibration alone came before one failure for days, and for other reasons before ten others for less long."""
    long, short = made_up(np.random.default_rng(51), 2000), made_up(np.random.default_rng(52), 300)
    long, short = (shift(rows, "vibration", np.full(len(rows), 8.0)) for rows in (long, short))
    other = shift(made_up(np.random.default_rng(53), 2300), "temperature", np.full(2300, 8.0))
    actions = ["continue_operation"] * len(normal) + ["check_blockage"] * 2000 + ["schedule_maintenance"] * 300
    x = np.vstack([normal, long, short, other[:2000], other[2000:]])
    actions += ["schedule_maintenance"] * 2000 + ["check_blockage"] * 300
    event = np.concatenate([np.full(len(normal), -1), np.zeros(2000), 1 + np.arange(300) // 30])
    event = np.concatenate([event, 11 + np.arange(2000) // 200, 21 + np.arange(300) // 30]).astype(np.int64)
    bundle = EquipmentAnomalyDetector(trees=40, isolation_trees=20).fit(x, actions, event=event)
    seen = shift(made_up(np.random.default_rng(54), 100), "vibration", np.full(100, 8.0))
    assert (bundle.score_windows(seen).action == "schedule_maintenance").mean() > 0.9, "ten failures against one"


def test_a_machine_with_many_sensors_is_not_raised_for_having_them() -> None:
    """Of four machines one has four measurements and the others one each, all as steady."""

    def plant(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        x, names = made_up(np.random.default_rng(seed), count), np.array([f"M{i % 4}" for i in range(count)], object)
        for measurement in ("vibration", "pressure", "throughput"):
            columns = [index for name, index in COLUMN.items() if name.startswith(measurement)]
            x[np.ix_(np.flatnonzero(names != "M0"), columns)] = np.nan
        return x, names

    (x, names), (fresh, of) = plant(42, 20_000), plant(43, 40_000)
    bundle = EquipmentAnomalyDetector(isolation_trees=20).fit(x, equipment=names)
    surprise = bundle.score_windows(fresh, of).unsupervised
    often = [float((surprise[of == name] >= 2).mean()) for name in ("M0", "M1", "M2", "M3")]
    assert max(often) < 3 * min(often), often
    assert 0.005 < np.mean(often) < 0.02, often


def test_without_labels_it_detects_and_says_no_precedent(normal: np.ndarray) -> None:
    bundle = EquipmentAnomalyDetector(isolation_trees=50).fit(normal)
    assert bundle.classifier_ is None
    scores = bundle.score_windows(shift(normal[:50], "vibration", np.full(50, 12.0)))
    assert scores.anomaly.min() >= 0.9
    assert set(scores.action) == {NO_PRECEDENT}
    assert (scores.confidence == 0.5).all()
    assert (bundle.score_windows(normal).anomaly < 0.5).mean() > 0.99


def test_a_class_too_small_to_learn_is_left_out(normal: np.ndarray) -> None:
    actions = np.full(len(normal), "continue_operation", dtype=object)
    actions[:5] = "check_blockage"
    assert list(EquipmentAnomalyDetector(trees=5, isolation_trees=10).fit(normal, actions).classes_) == [
        "continue_operation"
    ]


def test_a_stuck_sensor_shows_by_its_flat_minutes(taught: EquipmentAnomalyDetector) -> None:
    x = made_up(np.random.default_rng(6), 20)
    x[:, COLUMN["temperature_flat_minutes"]] = 12
    assert taught.score_windows(x).anomaly.min() >= 0.5


def test_loading_refuses_types_that_are_not_on_the_list(tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    skops.io.dump(FunctionTransformer(func=np.load), tmp_path / "evil.skops")
    with pytest.raises(RegistryError, match="refused"):
        load_bundle(tmp_path / "evil.skops")
    skops.io.dump(StandardScaler(), tmp_path / "other.skops")
    with pytest.raises(RegistryError, match="not a bundle"):
        load_bundle(tmp_path / "other.skops")


def test_a_tail_knows_its_own_quantiles() -> None:
    sample = np.random.default_rng(7).normal(size=100_000)
    tail = Tail.fit(sample)
    for steps in (1.0, 2.0, 3.0, 4.0):
        assert tail(np.array([np.quantile(sample, 1 - 10**-steps)]))[0] == pytest.approx(steps, abs=0.15)
    far = tail(np.linspace(-10, 100, 1000))
    assert (np.diff(far) >= 0).all() and far[0] == 0 and far[-1] == CEILING


def test_a_constant_sample_has_a_tail_too() -> None:
    tail = Tail.fit(np.zeros(1000))
    assert tail(np.array([0.5]))[0] == CEILING


def test_a_new_machine_is_judged_by_all_machines_spread_until_it_is_commissioned(normal: np.ndarray) -> None:
    """A noisy machine of too few rows is strange; with enough of them its own spread counts, drawn to the others'."""
    noisy = 3 * made_up(np.random.default_rng(8), 1000)
    names = np.array(["OLD"] * 5000, dtype=object)

    def fitted(rows: int) -> Scorecard:
        x = np.vstack([normal[:5000], noisy[:rows]])
        machines = np.concatenate([names, np.array(["NEW"] * rows, dtype=object)])
        bundle = EquipmentAnomalyDetector(isolation_trees=10, commissioning_windows=300)
        return bundle.fit(x, equipment=machines).scorecard

    young, old = fitted(299), fitted(1000)
    assert young.machines == ("OLD",) and old.machines == ("NEW", "OLD")
    asked = [np.array([name] * 50, dtype=object) for name in ("NEW", "never seen")]
    assert np.array_equal(young.scaled(noisy[:50], asked[0]), young.scaled(noisy[:50], asked[1]))
    assert np.array_equal(young.scaled(noisy[:50], asked[1]), young.scaled(noisy[:50], None))
    own, pooled = old.scales[0], old.scales[-1]
    moved = COLUMN["vibration_deviation_5m"]
    assert (own[:, moved] > pooled[:, moved]).all(), "by its own spread it is less strange than by all machines'"


def test_the_bands_are_those_that_were_stated(normal: np.ndarray, machines: np.ndarray) -> None:
    seldom = (0.1, 0.01, 0.001)
    often = EquipmentAnomalyDetector(isolation_trees=10).fit(normal[:5000], equipment=machines[:5000])
    rare = EquipmentAnomalyDetector(isolation_trees=10, weekly=seldom).fit(normal[:5000], equipment=machines[:5000])
    assert tuple(rare.scorecard.bands.stated) == seldom
    assert (rare.scorecard.bands.knots > often.scorecard.bands.knots).all()
    unlifted = np.zeros(1)
    knot = often.scorecard.bands.knots[0]
    assert often.scorecard.bands.score(np.array([knot]), unlifted)[0] == pytest.approx(0.5)


def test_a_machine_that_starts_cold_may_not_therefore_run_hot(normal: np.ndarray, machines: np.ndarray) -> None:
    cold = normal.copy()
    cold[::100] = shift(cold[::100], "temperature", np.full(len(cold[::100]), -12.0))
    card = EquipmentAnomalyDetector(isolation_trees=20).fit(cold, equipment=machines).scorecard
    rows = normal[1:60:2]
    hot = card.score(shift(rows, "temperature", np.full(len(rows), 6.0))).anomaly
    warming_up = card.score(shift(rows, "temperature", np.full(len(rows), -6.0))).anomaly
    assert np.median(hot) >= 0.7 > np.median(warming_up)


def test_of_few_rows_a_strange_one_does_not_put_the_top_out_of_reach() -> None:
    """The 99.99th percentile of 1,000 rows is the strangest of them, of which the detector alone isn't believed all."""
    few = made_up(np.random.default_rng(0), 1000)
    few[0, [COLUMN[f"{name}_deviation_5m"] for name in ("vibration", "temperature", "pressure")]] = 45.0
    card = EquipmentAnomalyDetector(isolation_trees=20).fit(few).scorecard
    assert card.combine(np.zeros(1), np.array([card.unsupervised(few, None).max() + 1]))[0] >= 0.9


def test_rows_that_were_answered_say_nothing_of_how_often_normal_time_is_raised(normal: np.ndarray) -> None:
    """A champion's own alarms that were rejected: as many rows of them as of a day would make the bands a day's."""
    alarms = shift(normal[:1000], "pressure", np.full(1000, 9.0))
    rows = np.vstack([normal[:9000], alarms])
    asked = np.arange(len(rows)) >= 9000
    apart, even = (
        EquipmentAnomalyDetector(isolation_trees=10).fit(rows, asked=mask).scorecard for mask in (asked, None)
    )
    assert apart.bands.lift < even.bands.lift


def test_the_tail_holds_for_weeks_that_the_detector_has_not_seen(machines: np.ndarray) -> None:
    """Each week of a machine lies a little elsewhere, as weather and wear have it: the rows learnt from don't tell."""
    rng = np.random.default_rng(4)
    weeks, count = 12, 400
    week = np.repeat(np.arange(weeks), count)
    x = made_up(rng, weeks * count)
    names = machines[: len(x)]
    moved = [COLUMN[f"{m}_deviation_{w}m"] for m in ("temperature", "vibration", "pressure") for w in (5, 15, 60)]
    offsets = rng.normal(0, 1.5, (weeks, 4, len(moved)))
    x[:, moved] += offsets[week, np.arange(len(x)) % 4]
    ends = (week * 7 * 24 * 60 + np.tile(np.arange(count) * 10, weeks)).astype(np.int64) * 60_000_000
    known = week < 9

    def raised(ends: np.ndarray | None) -> float:
        bundle = EquipmentAnomalyDetector(isolation_trees=20).fit(x[known], equipment=names[known], ends=ends)
        return float((bundle.score_windows(x[~known], names[~known]).unsupervised > 2).mean())

    seen, unseen = raised(None), raised(ends[known])
    assert unseen < 0.02 < seen, "one minute of a hundred is meant"


def test_weeks_take_turns_unless_one_of_them_holds_most() -> None:
    week = 7 * 24 * 60 * 60_000_000
    ends = np.arange(12, dtype=np.int64).repeat(10) * week
    everything = np.ones(len(ends), bool)
    assert np.array_equal(time_folds(ends, everything), np.arange(12).repeat(10) % 3)
    burst = np.concatenate([[0], 5 * week + np.arange(999, dtype=np.int64) * 60_000_000])
    counts = np.bincount(time_folds(burst, np.ones(1000, bool)))
    assert len(counts) == 3 and counts.min() > 300
    assert not time_folds(None, everything).any()


def test_a_third_of_which_only_faults_are_known_is_no_fold_of_normal_time(normal: np.ndarray) -> None:
    """Between two times of normal operation lay one long fault."""
    week = 7 * 24 * 60 * 60_000_000
    x = np.vstack([normal[:1000], shift(normal[1000:1050], "vibration", np.full(50, 9.0))])
    ends = np.concatenate([np.arange(1000) // 500 * week, np.full(50, week // 2)]).astype(np.int64)
    actions = ["continue_operation"] * 1000 + ["schedule_maintenance"] * 50
    bundle = EquipmentAnomalyDetector(trees=60, isolation_trees=10).fit(x, actions, ends=ends)
    assert (bundle.score_windows(x[1000:]).action == "schedule_maintenance").mean() > 0.9
