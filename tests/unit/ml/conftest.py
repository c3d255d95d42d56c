"""Labelled rows that are made up, for what needs no database."""

from __future__ import annotations

import numpy as np
import pytest

from ml.ahead import Ahead, label_ahead
from ml.bundle import EquipmentAnomalyDetector
from ml.features import FEATURES, Windows
from ml.labels import HOUR, Event, Labelled
from ml.learning.sampling import Sample
from tests.unit.ml.deviations import FAULTY, NORMAL, made_up, shift

ROWS = 3000
VIBRATION = [FEATURES.index(f"vibration_deviation_{w}m") for w in (5, 15, 60)]


@pytest.fixture(scope="session")
def sample() -> Sample:
    """Two machines for 25 hours; a fault of the first one in every fifth."""
    rng = np.random.default_rng(0)
    ends = np.repeat(np.arange(1, ROWS // 2 + 1), 2) * 60_000_000
    machine = np.array(["A", "B"] * (ROWS // 2), dtype=object)
    x = rng.normal(0, 0.7, (ROWS, len(FEATURES)))
    x[:, [i for i, name in enumerate(FEATURES) if name.endswith("_flat_minutes")]] = 0
    x[:, [i for i, name in enumerate(FEATURES) if name.startswith("voltage")]] = np.nan
    known = [Event(f"F{k}", "A", "bearing_wear", 5 * HOUR * (k + 1), 5 * HOUR * (k + 1), True) for k in range(5)]
    event, hours = np.full(ROWS, -1), np.full(ROWS, np.nan)
    for k, item in enumerate(known):
        rows = np.flatnonzero((machine == "A") & (ends > item.at - HOUR) & (ends <= item.at))
        event[rows], hours[rows] = k, (item.at - ends[rows]) / HOUR
        x[np.ix_(rows, VIBRATION)] += 6
    action = np.where(event >= 0, "schedule_maintenance", "continue_operation").astype(object)
    known_at = np.array([item.at for item in known] + [0])[event]
    labelled = Labelled(
        Windows(machine, ends, np.zeros(ROWS, bool), x), action, hours, np.ones(ROWS), event,
        minutes=np.ones(ROWS), asked=np.zeros(ROWS, bool), known=known_at,
    )  # fmt: skip
    ahead = label_ahead(labelled.windows, known, labelled.weight, int(ends[-1]))
    return Sample(labelled, 1, 60_000_000, int(ends[-1]), ROWS, known, ahead)


@pytest.fixture(scope="session")
def normal() -> np.ndarray:
    return made_up(np.random.default_rng(1), NORMAL)


@pytest.fixture(scope="session")
def machines() -> np.ndarray:
    return np.array([f"M{i % 4}" for i in range(NORMAL)], dtype=object)


@pytest.fixture(scope="session")
def taught(normal: np.ndarray, machines: np.ndarray) -> EquipmentAnomalyDetector:
    """Knows worn bearings (vibration) and lost cooling (temperature), and nothing of pressure."""
    rng = np.random.default_rng(2)
    worn = shift(made_up(rng, FAULTY), "vibration", rng.uniform(3, 10, FAULTY))
    hot = shift(made_up(rng, FAULTY), "temperature", rng.uniform(3, 10, FAULTY))
    x = np.vstack([normal, worn, hot])
    actions = ["continue_operation"] * NORMAL + ["schedule_maintenance"] * FAULTY + ["reduce_speed"] * FAULTY
    hours = np.concatenate([np.full(NORMAL, np.inf), rng.uniform(1, 6, 2 * FAULTY)])
    event = np.concatenate([np.full(NORMAL, -1), np.arange(2 * FAULTY) // 100])
    equipment = np.concatenate([machines, machines[: 2 * FAULTY]])
    count = len(x)
    windows = Windows(equipment, np.arange(count) * 60_000_000, np.zeros(count, bool), x)
    ahead = Ahead(windows, hours, np.full(count, np.inf), event, np.ones(count))
    return EquipmentAnomalyDetector(trees=40, isolation_trees=50).fit(
        x, actions, equipment=equipment, event=event, ahead=ahead, edges=(1, 3, 6, 12, 24)
    )
