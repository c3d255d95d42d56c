"""A plant of two machines in a warehouse: its readings, the runs over it, and its tables as rows."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from warehouse.settings import Settings
from warehouse.transform import TransformResult, build

START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
# tag_id, source_ts, value, value_text, status, digest
Reading = tuple[int, datetime, float | None, str | None, int, int]
INSERT = (
    "INSERT INTO raw.sensor_events (tag_id, source_ts, value, value_text, status, digest, origin, available_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, 'live', %s) ON CONFLICT DO NOTHING"
)
TEMPERATURE, DRIVE_END, OTHER_END, POWER, STATE, OTHER_TEMPERATURE = range(1, 7)
BASES = {TEMPERATURE: 60.0, DRIVE_END: 2.0, OTHER_END: 3.0, POWER: 80.0, OTHER_TEMPERATURE: 40.0}


@dataclass(frozen=True)
class Site:
    """A warehouse, an autocommit connection of its admin, and where dbt's parse is kept for the next run."""

    settings: Settings
    admin: psycopg.Connection
    parse: Path

    def attempt(
        self,
        moment: datetime,
        select: str | None = None,
        variables: Mapping[str, object] | None = None,
        full_refresh: bool = False,
        tests: bool = False,
    ) -> TransformResult:
        """A run of dbt; the first one's parse serves those of every other site."""
        target = self.settings.var / "dbt" / "target" / self.parse.name
        if self.parse.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.parse, target)
        result = build(self.settings, moment, select, full_refresh, variables, tests)
        if target.exists():
            shutil.copy(target, self.parse)
        return result

    def transform(self, moment: datetime, select: str | None = "tag:minute", **more: Any) -> TransformResult:
        """A run that has to succeed: the minute path; a first one takes `+tag:minute`, with the views below it."""
        result = self.attempt(moment, select, **more)
        assert result.succeeded, result.failures
        return result

    def rows(self, table: str, key: str, where: str = "true") -> list[dict[str, Any]]:
        """A table's rows in the order of `key`, without what marks the transaction that wrote them."""
        with self.admin.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            found = cursor.execute(
                f"SELECT * FROM {table} WHERE {where} ORDER BY {key}"  # type: ignore[call-overload]
            ).fetchall()
        return [{name: value for name, value in row.items() if name != "built_xid"} for row in found]


def land(connection: psycopg.Connection, readings: Iterable[Reading], delay: timedelta = timedelta(seconds=1)) -> None:
    """Land readings in one transaction; the plant could have known each `delay` after it was taken."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE landing (LIKE raw.sensor_events INCLUDING DEFAULTS) ON COMMIT DROP")
        columns = "tag_id, source_ts, value, value_text, status, digest, origin, available_at"
        with cursor.copy(f"COPY landing ({columns}) FROM STDIN") as copy:  # type: ignore[call-overload]
            for reading in readings:
                copy.write_row((*reading, "live", reading[1] + delay))
        cursor.execute("INSERT INTO raw.sensor_events SELECT * FROM landing ON CONFLICT DO NOTHING")


def day(start: datetime, minutes: int, seed: int) -> list[Reading]:
    """Readings of every tag with gaps, bad values, duplicates in time and changing states."""
    chance = random.Random(seed)
    readings: list[Reading] = []
    for minute in range(minutes):
        at = start + minute * MINUTE
        if 40 <= minute < 48:
            continue
        for tag, base in BASES.items():
            if chance.random() < 0.05:
                continue
            for second in (5, 25, 45):
                status = 0x80000000 if chance.random() < 0.03 else 0
                value = float("nan") if chance.random() < 0.01 else base + chance.gauss(0, 1) * base / 20
                moment = at + timedelta(seconds=second)
                readings.append((tag, moment, value, None, status, chance.getrandbits(60)))
                if chance.random() < 0.02:
                    readings.append((tag, moment, base, None, 0x40000000, chance.getrandbits(60)))
        if minute % 17 == 0:
            readings.append((STATE, at, None, chance.choice("RS"), 0, chance.getrandbits(60)))
    return readings


def assert_equal(got: list[dict[str, Any]], expected: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    """Row for row, doubles within 1e-9 relative."""
    wrong = {tuple(row[name] for name in key) for row in got} ^ {tuple(row[name] for name in key) for row in expected}
    assert not wrong, f"{len(wrong)} rows are in one of the two only: {sorted(wrong)[:5]}"
    for one, other in zip(got, expected, strict=True):
        different = {
            name: (one[name], value)
            for name, value in other.items()
            if not _same(one[name], value, _noise(name, other))
        }
        assert not different, f"{[one[name] for name in key]}: (got, expected) {different}"


def _noise(name: str, row: dict[str, Any]) -> float:
    """What rounding leaves of zero. The terms of some moments cancel: 1e-9 is of the most that they can be, m2 to the
    3/2 of a third moment, and of a comoment the root of both sums of squares."""
    most = 0.0
    if name.endswith("m3"):
        most = (row[name.removesuffix("m3") + "m2"] or 0.0) ** 1.5
    elif name == "load_comoment":
        most = ((row["load_m2"] or 0.0) * (row["mean_sumsq"] or 0.0)) ** 0.5
    return max(1e-12, 1e-9 * most)


def _same(one: Any, other: Any, noise: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=noise)
    return bool(one == other)
