"""History files: the contract's columns, order, resolution and determinism; no truth in what is loaded."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ingest.files.mapping import load_mapping
from ingest.plant import Plant, load_plant
from simulator.errors import SimulatorError
from simulator.faults import MODES, SENSOR
from simulator.history import Written, write_history
from simulator.machines import machines
from simulator.past import DAY, make_past
from simulator.schedule import Schedule

ROOT = Path(__file__).parents[3]
UNTIL = datetime(2026, 1, 31, 6, 0, tzinfo=UTC)
DAYS = 30


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(ROOT / "plant.yml")


@pytest.fixture(scope="module")
def history(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    out = tmp_path_factory.mktemp("history")
    return out, write_history(plant, 7, DAYS, UNTIL, out)


def test_ninety_days_hold_two_to_four_faults_a_machine_of_every_mode(plant: Plant) -> None:
    first, until = UNTIL.timestamp() - 90 * DAY, UNTIL.timestamp()
    for seed in (7, 8):
        plant_machines = machines(plant, seed)
        past = make_past(plant_machines, Schedule(plant, seed), seed, first, until)
        counts = np.bincount([fault.machine for fault in past.faults], minlength=12)
        assert counts.min() >= 1
        assert counts.max() <= 4
        assert counts.mean() >= 2
        assert {fault.mode for fault in past.faults} == set(MODES)
        growth = [fault.full - fault.starts for fault in past.faults if fault.mode not in SENSOR]
        assert sum(g < 3600 for g in growth) >= 4  # a model has to see fast ones too
        assert sum(g > 3600 for g in growth) > sum(g < 3600 for g in growth)
        assert max(episode.repaired for episode in past.episodes) < until - DAY
        # Training splits by time: the last weeks must not be empty.
        assert sum(fault.starts > until - 25 * DAY for fault in past.faults) >= 3
        for episode in past.episodes:
            assert episode.fault.starts < episode.noticed < episode.repair_starts < episode.repaired
            others = [e for e in past.episodes if e.fault.machine == episode.fault.machine and e is not episode]
            assert all(e.repaired < episode.fault.starts or e.fault.starts > episode.repaired for e in others)
        assert not any(stop.overlaps(until - 6 * 3600, until) for stop in past.stops)


def test_readings_have_the_columns_of_the_map_that_lands_them(history: tuple[Path, Written]) -> None:
    out, written = history
    file = pq.ParquetFile(out / "readings.parquet")
    assert file.schema_arrow.names == [
        "equipment_id", "measurement", "position", "source_ts", "value", "value_text", "status",
    ]  # fmt: skip
    assert str(file.schema_arrow.field("source_ts").type) == "timestamp[us, tz=UTC]"
    assert file.metadata.num_rows == written.readings
    mapping = load_mapping(ROOT / "maps" / "demo_history.yml")
    assert mapping.long is not None
    named = [mapping.timestamp.column, mapping.equipment.column, *mapping.long.model_dump().values()]
    assert set(named) == set(file.schema_arrow.names)


def test_readings_are_sorted_unique_and_at_the_right_pace(plant: Plant, history: tuple[Path, Written]) -> None:
    out, _ = history
    frame = pd.read_parquet(out / "readings.parquet")
    assert frame.source_ts.min() == pd.Timestamp(UNTIL - timedelta(days=DAYS))
    assert frame.source_ts.max() < pd.Timestamp(UNTIL)
    assert frame.source_ts.dt.floor("D").is_monotonic_increasing
    key = ["equipment_id", "measurement", "position", "source_ts"]
    assert not frame.duplicated(key).any()
    order = frame.groupby([frame.source_ts.dt.floor("D"), "equipment_id", "measurement"], observed=True).source_ts
    assert order.is_monotonic_increasing.all()
    assert (frame.status == 0).all()
    assert (frame.value.isna() == frame.value_text.notna()).all()

    vibration = frame[(frame.equipment_id == "HAUL-001") & (frame.measurement == "vibration")]
    last_day = vibration.source_ts >= pd.Timestamp(UNTIL - timedelta(days=1))
    assert last_day.sum() == 86_400
    assert (~last_day).sum() == (DAYS - 1) * 1440
    states = frame[frame.measurement == "run_state"]
    assert set(states.value_text) <= {"RUNNING", "IDLE", "STOPPED", "MAINTENANCE"}
    assert {"RUNNING", "IDLE", "MAINTENANCE", "STOPPED"} == set(states.value_text)
    hourly = states[states.equipment_id == "HAUL-001"].source_ts.diff().max()
    assert hourly <= pd.Timedelta(hours=1)
    assert set(frame.groupby("equipment_id", observed=True).size().index) == set(plant.equipment)


def test_the_same_arguments_give_the_same_files(plant: Plant, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_history(plant, 5, 2, UNTIL, tmp_path / name)
    first, second = ({p.name: sha256(p.read_bytes()).hexdigest() for p in (tmp_path / n).iterdir()} for n in "ab")
    assert first == second
    assert len(first) == 17
    write_history(plant, 6, 2, UNTIL, tmp_path / "c")
    assert sha256((tmp_path / "c" / "readings.parquet").read_bytes()).hexdigest() != first["readings.parquet"]


def test_the_truth_is_in_no_other_file(history: tuple[Path, Written]) -> None:
    out, written = history
    truth = pd.read_parquet(out / "truth.parquet")
    assert len(truth) == written.faults > 0
    # When a fault began is known to nobody; maintainers know what they found, and when.
    starts = {moment.isoformat(timespec="milliseconds") for moment in truth.started_at}
    for path in out.glob("*.csv"):
        text = path.read_text()
        assert not any(start in text for start in starts), path.name
        if not path.name.startswith("cmms_"):
            assert not pd.read_csv(path).isin(MODES).any(axis=None), path.name


def test_maintainers_found_every_fault(history: tuple[Path, Written]) -> None:
    out, written = history
    orders = pd.read_csv(out / "cmms_work_orders.csv")
    failures = pd.read_csv(out / "cmms_failures.csv")
    truth = pd.read_parquet(out / "truth.parquet")
    corrective = orders[orders.kind == "corrective"]
    assert len(corrective) == written.faults
    assert sorted(corrective.problem_code) == sorted(truth["mode"])
    assert len(failures) == (~truth.caught).sum()
    assert set(failures.work_order_id) <= set(orders.work_order_id)
    assert (orders.kind == "preventive").sum() >= 5


def test_operators_mostly_execute_what_was_right_and_reject_what_was_not(history: tuple[Path, Written]) -> None:
    out, written = history
    shown = pd.read_csv(out / "past_recommendations.csv", parse_dates=["timestamp"])
    answers = pd.read_csv(out / "operator_answers.csv")
    truth = pd.read_parquet(out / "truth.parquet")
    assert len(shown) == len(answers) == written.recommendations >= 45
    assert not shown.duplicated(["equipment_id", "timestamp"]).any()
    during = [
        (own.started_at.le(row.timestamp) & own.repaired_at.ge(row.timestamp)).any()
        for row in shown.itertuples()
        for own in [truth[truth.equipment_id == row.equipment_id]]
    ]
    answer = answers.set_index("recommendation_id").operator_action.reindex(shown.recommendation_id).to_numpy()
    right = np.array(during)
    assert (answer[right] == "executed").mean() > 0.7
    assert (answer[~right] == "rejected").mean() > 0.6
    assert (shown.anomaly_score >= 0.7).all()
    assert (shown.confidence >= 0.75).all()


@pytest.mark.parametrize(
    ("days", "until", "message"),
    [(0, UNTIL, "days must be at least 1. Got: 0"), (2, datetime(2026, 1, 31, 6), "must carry a time zone")],  # noqa: DTZ001
)
def test_arguments_that_make_no_history_are_refused(
    plant: Plant, tmp_path: Path, days: int, until: datetime, message: str
) -> None:
    with pytest.raises(SimulatorError, match=message):
        write_history(plant, 7, days, until, tmp_path)
