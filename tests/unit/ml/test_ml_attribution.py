"""Sensor or process: judged on the simulator's own faults, by what its truth says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.plant import load_plant
from ml.drift import reference
from ml.drift.attribution import Attribution, Position
from ml.drift.findings import Day, attributions, compare, judge
from ml.drift.reference import Profile
from ml.features import FEATURES, Windows
from ml.policy import Policy
from simulator.faults import Fault, make_fault
from simulator.machines import machines, stream
from simulator.physics import Physics
from simulator.schedule import Schedule, targets

PLANT = load_plant(Path(__file__).parents[3] / "plant.yml")
START = 1_750_032_000.0  # midnight, UTC
DAY = 86_400.0
STEP = 600.0
DAYS = 40
SEED = 7
LATER = START + DAYS * DAY
REGIMES = (0.25, 0.5, 0.75, 1.0)  # as the macro `regime` of dbt cuts the load


@dataclass(frozen=True)
class Lived:
    """The plant every ten minutes, running all the time: `values` (n, channels) of what ended at `ends` (seconds)."""

    ends: NDArray[np.float64]
    values: NDArray[np.float64]


def lived(since: float, until: float, faults: tuple[Fault, ...] = ()) -> Lived:
    plant_machines = machines(PLANT, SEED)
    physics = Physics(plant_machines, SEED)
    times = np.arange(since - 6 * 3600, until, STEP)
    asked = targets(Schedule(PLANT, SEED).slots(times[0], until), times, plant_machines.count)
    values = physics.advance(
        physics.standing(times[0]), times, STEP, asked, np.ones_like(asked), faults,
        stream(SEED, "white", int(since)), minute_means=True,
    )  # fmt: skip
    return Lived(times[times >= since] + STEP, values[times >= since])


def windows(own: Lived, known: Lived) -> Windows:
    """Deviations over an hour as dbt makes them, the baselines of each regime being those of `known`."""
    plant_machines = machines(PLANT, SEED)
    parts, names = [], []
    for index, (name, equipment) in enumerate(PLANT.equipment.items()):
        columns = {plant_machines.channels[c].tag.measurement: c for c in plant_machines.channels_of(index)}
        assert equipment.load is not None and equipment.rated_load is not None
        load, known_load = (some.values[:, columns[equipment.load]] / equipment.rated_load for some in (own, known))
        regime, known_regime = np.digitize(load, REGIMES), np.digitize(known_load, REGIMES)
        x = np.full((len(own.ends), len(FEATURES)), np.nan)
        for measurement, column in columns.items():
            deviation = np.full(len(own.ends), np.nan)
            for one in np.unique(regime):
                past = known.values[known_regime == one, column]
                if len(past) >= 30:  # a regime that training hardly saw has no baseline
                    spread = max(past.std(), 0.005 * abs(past.mean()))
                    deviation[regime == one] = (own.values[regime == one, column] - past.mean()) / spread
            x[:, FEATURES.index(f"{measurement}_deviation_60m")] = hourly(deviation)
        x[:, FEATURES.index("load_ratio")] = load
        parts.append(x)
        names += [name] * len(x)
    ends = np.tile((own.ends * 1e6).astype(np.int64), len(parts))
    return Windows(np.array(names, object), ends, np.zeros(len(names), bool), np.vstack(parts))


def hourly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each value and the five before it."""
    padded = np.concatenate([np.full(5, np.nan), values])
    rows = np.lib.stride_tricks.sliding_window_view(padded, 6)
    counts = np.isfinite(rows).sum(axis=1)
    return np.where(counts > 0, np.nansum(rows, axis=1) / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True)
class Trained:
    """What is kept of a training, and the past that its baselines are of."""

    known: Lived
    profiles: dict[tuple[str, str], Profile]


@pytest.fixture(scope="module")
def trained() -> Trained:
    known = lived(START, LATER)
    return Trained(known, {(one.equipment_id, one.feature): one for one in reference.build(windows(known, known))})


Sensors = dict[str, dict[str, list[Position]]]


def told(trained: Trained, faults: tuple[Fault, ...], sensors: Sensors | None = None) -> dict[str, Attribution]:
    """What is said of each machine on the day after training, with the faults that there are."""
    everything = windows(lived(LATER - DAY, LATER + DAY, faults), trained.known)
    day = Day(everything.take(np.flatnonzero(everything.ends > LATER * 1e6)), np.empty(0))
    _, share = judge(compare(trained.profiles, day), Policy())
    return {v.equipment_id: v for v in attributions(trained.profiles, day, share, sensors or {})}


def sensor_drift(machine: str, measurement: str, direction: int) -> Fault:
    """A drift of one of the machine's sensors in a direction; the simulator draws that by the moment it starts."""
    own = machines(PLANT, SEED)
    for second in range(200):
        starts = LATER - 3600 - second
        fault = make_fault(own, SEED, machine, "sensor_drift", starts, 60.0)
        channel = next(
            c for c in own.channels_of(own.ids.index(machine)) if own.channels[c].tag.measurement == measurement
        )
        if (stream(SEED, "drift", channel, int(starts)).random() < 0.5) == (direction > 0):
            return replace(fault, channel=channel)
    raise AssertionError("no such drift")


def mechanical(machine: str, mode: str, slow: bool = False) -> Fault:
    """A fault of the machine that is fully grown all day, or one of a week that is half-way."""
    own = machines(PLANT, SEED)
    if slow:
        return Fault(own.ids.index(machine), mode, LATER - 2.5 * DAY, LATER + 5 * DAY)
    return make_fault(own, SEED, machine, mode, LATER - 3600, 60.0)


def test_nothing_is_said_of_a_day_like_the_others(trained: Trained) -> None:
    assert told(trained, ()) == {}


@pytest.mark.parametrize(
    ("machine", "measurement", "direction"),
    [
        ("PUMP-001", "pressure", 1),
        ("PUMP-001", "pressure", -1),
        ("CRUSH-001", "power", 1),
        ("HAUL-001", "temperature", -1),
        ("HAUL-001", "vibration", -1),
    ],
)
def test_a_sensor_that_drifts_is_told_from_the_process(
    trained: Trained, machine: str, measurement: str, direction: int
) -> None:
    (found,) = told(trained, (sensor_drift(machine, measurement, direction),)).values()
    assert (found.equipment_id, found.origin, found.measurements) == (machine, "sensor", (measurement,))


@pytest.mark.parametrize(
    ("machine", "mode", "slow"),
    [("PUMP-001", "bearing_wear", False), ("HAUL-001", "bearing_wear", False), ("CRUSH-001", "belt_slip", True)],
)
def test_a_fault_of_the_machine_is_no_sensors(trained: Trained, machine: str, mode: str, slow: bool) -> None:
    (found,) = told(trained, (mechanical(machine, mode, slow),)).values()
    assert (found.equipment_id, found.origin) == (machine, "process")
    assert len(found.measurements) > 1


@pytest.mark.parametrize(
    "fault",
    [
        mechanical("PUMP-001", "cooling_loss"),
        mechanical("PUMP-001", "bearing_wear", slow=True),
        sensor_drift("PUMP-001", "temperature", 1),
        sensor_drift("PUMP-001", "throughput", -1),
        mechanical("PUMP-001", "blockage"),
    ],
    ids=["cooling_loss", "first_wear", "temperature_reads_high", "load_reads_low", "blockage"],
)
def test_what_looks_the_same_from_a_distance_is_unclear(trained: Trained, fault: Fault) -> None:
    (found,) = told(trained, (fault,)).values()
    assert found.origin == "unclear"


def sensors(drive_end: float, other_end: float) -> Sensors:
    positions = [Position(1, "vibration at de", drive_end, "de"), Position(2, "vibration at nde", other_end, "nde")]
    return {"HAUL-001": {"vibration": positions}}


def test_another_position_of_the_measurement_says_which(trained: Trained) -> None:
    reads_high = (sensor_drift("HAUL-001", "vibration", 1),)
    alone = told(trained, reads_high, sensors(19.0, 0.2))["HAUL-001"]
    assert (alone.origin, alone.tag_ids) == ("sensor", (1,))
    both = told(trained, reads_high, sensors(19.0, 15.0))["HAUL-001"]
    assert (both.origin, both.tag_ids) == ("process", (1, 2))
    neither = told(trained, reads_high, sensors(19.0, 4.0))["HAUL-001"]
    assert neither.origin == "unclear"
