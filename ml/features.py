"""The features that models see, their contract, and reading them from `marts.gold_ml_features`.

All are computed by dbt. They are deviations in units of the machine's own spread at its load, so that one model
fits every machine; raw means, slopes in engineering units and `temperature_x_vibration` tell machines apart more than
they tell faults, and stay with the text of a recommendation. `flat` minutes are where a stuck sensor shows.

Context is what horizons need beside: how a measurement stands against its own last day, and what errors, failures,
maintenance, age and use say of the machine. Each model takes its inputs by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml.errors import ContractError

MEASUREMENTS = ("temperature", "vibration", "pressure", "throughput", "power", "speed", "current", "voltage")
WINDOWS = (5, 15, 60)
DEVIATIONS = tuple(f"{m}_deviation_{w}m" for w in WINDOWS for m in MEASUREMENTS)
FLAT = tuple(f"{m}_flat_minutes" for m in MEASUREMENTS)
Z_SCORES = tuple(f"{m}_z_score_24h" for m in MEASUREMENTS)
HISTORY = ("errors_24h", "failures_90d", "hours_since_maintenance", "equipment_age_days", "running_hours_24h")
FEATURES = (*DEVIATIONS, *FLAT, "load_ratio", *Z_SCORES, *HISTORY)
MART = "marts.gold_ml_features"
NEEDED = ("equipment_id", "window_end", "is_running", "in_maintenance", "over_gap", "available_at", "built_xid")
TRAINING_SET = "marts.ml_training_set"
# What an operator is shown of a window, by the names of HMIs; no model sees it.
AVERAGES = {
    "temp_avg_5min": "temperature_mean_5m",
    "vibration_avg_5min": "vibration_mean_5m",
    "throughput_avg_5min": "throughput_mean_5m",
}

_EPOCH_2000 = 946_684_800


# Raised whenever `ml.scorecard` derives its inputs from the features in another way, or its arrays lie otherwise.
DERIVATION = 5


def contract(names: tuple[str, ...] = FEATURES) -> str:
    """Hash of the feature names, in order, and of how inputs derive from them: what differs in it must not meet."""
    return hashlib.sha256("\n".join((f"derivation {DERIVATION}", *names)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Windows:
    """Rows of the feature mart: `x` is (n, len(FEATURES)) with NaN where the mart has NULL."""

    equipment: NDArray[Any]  # (n,) str
    ends: NDArray[np.int64]  # (n,) microseconds since 1970, UTC
    over_gap: NDArray[np.bool_]
    x: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: NDArray[Any]) -> Windows:
        """The rows of a mask or an index array."""
        return Windows(self.equipment[rows], self.ends[rows], self.over_gap[rows], self.x[rows])

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """As arrays of numbers and text for an `.npz`, keyed by `name`."""
        machines, machine = np.unique(self.equipment.astype(np.str_), return_inverse=True)
        return {
            f"{name}.machines": machines, f"{name}.machine": machine.astype(np.int32), f"{name}.ends": self.ends,
            f"{name}.gap": self.over_gap, f"{name}.x": self.x,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Windows:
        """The inverse of `arrays`."""
        equipment = arrays[f"{name}.machines"].astype(object)[arrays[f"{name}.machine"]]
        return cls(equipment, *(arrays[f"{name}.{key}"] for key in ("ends", "gap", "x")))

    def end(self, row: int) -> datetime:
        """The window's end as a datetime in UTC."""
        return from_micros(int(self.ends[row]))


def micros(moment: datetime) -> int:
    """Microseconds since 1970; exact, unlike `timestamp() * 1e6`."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(value: int) -> datetime:
    """The inverse of `micros`."""
    return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)


def require_mart(connection: psycopg.Connection, mart: str = MART, needed: tuple[str, ...] = NEEDED) -> None:
    """Raise ContractError unless `mart` has every column that models need, in a numeric type where it counts."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (mart,),
    ).fetchall()
    types: dict[str, str] = dict(rows)
    if not types:
        raise ContractError(f"{mart} doesn't exist or can't be read: run the transform first")
    numeric = {"double precision", "real", "numeric", "smallint", "integer", "bigint"}
    wrong = [name for name in (*needed, *FEATURES) if name not in types]
    wrong += [f"{name} ({types[name]})" for name in FEATURES if name in types and types[name] not in numeric]
    if wrong:
        raise ContractError(
            f"{mart} doesn't match the models' feature contract: missing or not numeric: {', '.join(wrong)}"
        )


def equipment_ids(connection: psycopg.Connection) -> list[str]:
    """Every machine that was ever in the plant file."""
    return [row[0] for row in connection.execute("SELECT equipment_id FROM raw.equipment ORDER BY 1")]


def read(connection: psycopg.Connection, source: str, parameters: dict[str, Any]) -> Windows:
    """Read the mart's rows that `source` picks: SQL text from FROM on, the mart's alias being `g`."""
    return read_beside(connection, source, parameters, ())[0]


def read_beside(
    connection: psycopg.Connection, source: str, parameters: dict[str, Any], beside: Iterable[str]
) -> tuple[Windows, NDArray[np.float64]]:
    """`read`, and other numeric columns of the same rows: (n, columns), NaN where the mart has NULL.

    Binary COPY of columns without NULLs has a fixed stride, which numpy reads without a loop: 100,000 rows of
    46 features take about a second.
    """
    ids = equipment_ids(connection)
    names = (*FEATURES, *beside)
    columns = ", ".join(f"coalesce(g.{name}::float8, 'NaN')" for name in names)
    statement = (
        "COPY (SELECT array_position(%(ids)s::text[], g.equipment_id)::int4, g.window_end, "
        f"g.over_gap IS TRUE, {columns} {source}) TO STDOUT (FORMAT binary)"
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(statement.encode(), {**parameters, "ids": ids}) as copy,
    ):
        raw = b"".join(copy)
    fields: list[tuple[str, str]] = [("count", ">i2"), ("l0", ">i4"), ("machine", ">i4"), ("l1", ">i4"), ("end", ">i8")]
    fields += [("l2", ">i4"), ("gap", "u1")]
    for index in range(len(names)):
        fields += [(f"n{index}", ">i4"), (f"x{index}", ">f8")]
    layout = np.dtype(fields)
    # 19 bytes of header, 2 of trailer around the tuples.
    rows = np.frombuffer(raw[19:-2], layout)
    x, others = np.empty((len(rows), len(FEATURES))), np.empty((len(rows), len(names) - len(FEATURES)))
    for index in range(len(names)):
        into, column = (x, index) if index < len(FEATURES) else (others, index - len(FEATURES))
        into[:, column] = rows[f"x{index}"]
    machines = np.array(ids, dtype=object) if ids else np.empty(0, object)
    equipment = machines[rows["machine"].astype(np.int64) - 1] if len(rows) else np.empty(0, object)
    ends = rows["end"].astype(np.int64) + _EPOCH_2000 * 1_000_000
    x[~np.isfinite(x)] = np.nan
    others[~np.isfinite(others)] = np.nan
    return Windows(equipment, ends, rows["gap"].astype(bool), x), others
