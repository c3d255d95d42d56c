"""A plant day in the order in which it arrived: late, twice, corrected, from clocks that were wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import psycopg

from tests.dbt.site import BASES, DRIVE_END, MINUTE, OTHER_TEMPERATURE, POWER, STATE, Reading, land

# The day on which Oslo's clocks go forward: 23 hours, from 23:00 UTC to 22:00 UTC.
DAY = datetime(2026, 3, 28, 23, tzinfo=UTC)
DAY_END = datetime(2026, 3, 29, 22, tzinfo=UTC)
MINUTES = (DAY_END - DAY) // MINUTE
# Every minute of three stretches, every fifteenth of the others: more would cost more and show no more.
BUSY = [range(0, 100), range(480, 620), range(MINUTES - 80, MINUTES)]
REPORTED = sorted({*range(0, MINUTES, 15), *(minute for stretch in BUSY for minute in stretch)})
# What a machine that joins late calls its tags.
JOINED = {7: 50.0, 8: 5.0}
# Few rows at the end: what a large batch would recompute anyway, they alone have to reach.
WEIGHTS = (40, 30, 12, 4, 1)
BAD, UNCERTAIN, GOOD = 0x80000000, 0x40000000, 0

Change = Callable[[psycopg.Connection], object]


@dataclass
class Batch:
    """What lands before one run of the minute path, and the moment of that run."""

    moment: datetime
    readings: list[Reading] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def arrive(self, connection: psycopg.Connection) -> None:
        for change in self.changes:
            change(connection)
        land(connection, self.readings)


def history(start: datetime, minutes: int, seed: int) -> list[Reading]:
    """Whole hours of normal operation, from which baselines come."""
    chance = random.Random(seed)
    rows = [
        (tag, start + minute * MINUTE, base * (1 + chance.gauss(0, 0.02)), None, GOOD, chance.getrandbits(60))
        for minute in range(minutes)
        for tag, base in BASES.items()
    ]
    return [*rows, (STATE, start, None, "R", GOOD, 1)]


def stretches(chance: random.Random) -> list[list[Reading]]:
    """The day's readings, in stretches of one tag each that arrive together."""
    found: list[list[Reading]] = []
    for tag, base in {**BASES, **JOINED}.items():
        first = 0
        while first < len(REPORTED):
            length = chance.choice((1, 1, 7, 20, 50, 90))
            rows = [row for minute in REPORTED[first : first + length] for row in _minute(chance, tag, base, minute)]
            first += length + chance.choice((0, 0, 0, 0, 1, 12))
            if rows:
                found += _spoilt(chance, rows)
    for minute in range(0, MINUTES, 45):
        at = DAY + (minute + chance.randrange(40)) * MINUTE
        found.append([(STATE, at, None, chance.choice("RRRSM"), GOOD, chance.getrandbits(60))])
    return [part for part in found if part]


def _minute(chance: random.Random, tag: int, base: float, minute: int) -> list[Reading]:
    """One reading as a rule, now and then seven equal ones (a stuck sensor), and values nobody can add up."""
    at = DAY + minute * MINUTE
    value = base * (1 + chance.gauss(0, 0.05))
    # A stretch under little load, which another regime's baseline is for.
    if tag == POWER and 520 <= minute < 580:
        value /= 4
    kind = chance.random()
    if kind < 0.05:
        return [
            (tag, at + timedelta(seconds=8 * step), round(base), None, GOOD, chance.getrandbits(60))
            for step in range(7)
        ]
    if kind < 0.08:
        value = chance.choice((float("nan"), float("inf"), 1e300, 0.0))
    status = BAD if chance.random() < 0.04 else GOOD
    second = timedelta(seconds=chance.randrange(60))
    return [(tag, at + second, value, None, status, chance.getrandbits(60))]


def _spoilt(chance: random.Random, rows: list[Reading]) -> list[list[Reading]]:
    """The stretch itself, and what comes with it at another time: corrections, replays, a clock that steps."""
    parts = [rows]
    tag = rows[0][0]
    corrections = [
        (tag, ts, (value or 1.0) * 1.1, None, GOOD if status else UNCERTAIN, chance.getrandbits(60))
        for tag, ts, value, _, status, _ in rows
        if chance.random() < 0.05
    ]
    if corrections:
        parts.append(corrections)
    if chance.random() < 0.1:
        parts.append(list(rows))
    if tag in (OTHER_TEMPERATURE, DRIVE_END) and chance.random() < 0.15:
        # Back onto minutes that have readings already, or ahead of everything.
        step = chance.choice((timedelta(minutes=-37), timedelta(seconds=-90), timedelta(hours=2)))
        parts.append(
            [
                (tag, ts + step, value, None, status, chance.getrandbits(60))
                for tag, ts, value, _, status, _ in rows
                if DAY <= ts + step < DAY_END
            ]
        )
    return parts


def statement(text: str, *parameters: object) -> Change:
    """A change that is one statement."""
    return lambda connection: connection.execute(text, parameters)  # type: ignore[call-overload]


JOIN: list[Change] = [
    statement(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('C', 'P', 'C', 'conveyor')"
    ),
    statement(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, role, data_type) VALUES"
        " ('s', 'n7', 'C', 'temperature', 'measurement', 'double'), ('s', 'n8', 'C', 'speed', 'measurement', 'double')"
    ),
]


def hours(count: float) -> datetime:
    """So many hours into the day."""
    return DAY + timedelta(hours=count)


def _order(number: int, kind: str, *times: datetime | None) -> Change:
    return statement(
        "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, opened_at, started_at, completed_at,"
        " available_at) VALUES (%s, 'A', %s, %s, %s, %s, %s)",
        f"W{number}", kind, *times, DAY,
    )  # fmt: skip


def _schedule(name: str, machine: str, state: str, since: datetime, until: datetime) -> Change:
    return statement(
        "INSERT INTO raw.mes_schedules (schedule_id, equipment_id, order_id, product, planned_state, starts_at,"
        " ends_at, available_at) VALUES (%s, %s, %s, 'bolts', %s, %s, %s, %s)",
        name, machine, f"O-{name}", state, since, until, DAY,
    )  # fmt: skip


def _shift(name: str, since: datetime, until: datetime) -> Change:
    return statement(
        "INSERT INTO raw.mes_shifts (shift_id, shift, crew, starts_at, ends_at, available_at)"
        " VALUES (%s, %s, 'red', %s, %s, %s)",
        name, name, since, until, DAY,
    )  # fmt: skip


def _gap(tag: int, since: datetime, until: datetime | None) -> Change:
    return statement(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'away')", tag, since, until
    )


# Rows of other systems, each with what becomes of it; a chain's steps arrive in this order, at any time.
CHAINS: dict[str, list[Change]] = {
    "a work order that is done later": [
        _order(1, "corrective", hours(3), hours(3.5), None),
        statement("UPDATE raw.cmms_work_orders SET completed_at = %s WHERE work_order_id = 'W1'", hours(6.25)),
    ],
    "one of last week, known late": [_order(2, "preventive", *[hours(-100)] * 3)],
    "one that is moved": [
        _order(3, "preventive", hours(8), hours(8.3), hours(9)),
        statement(
            "UPDATE raw.cmms_work_orders SET started_at = %s, completed_at = %s WHERE work_order_id = 'W3'",
            hours(12), hours(13),
        ),
    ],
    "maintenance that is planned, moved and taken back": [
        _schedule("S1", "B", "maintenance", hours(2), hours(4)),
        statement("UPDATE raw.mes_schedules SET starts_at = %s, ends_at = %s WHERE schedule_id = 'S1'", hours(5),
                  hours(7.5)),
        statement("DELETE FROM raw.mes_schedules WHERE schedule_id = 'S1'"),
    ],
    "production": [_schedule("S2", "A", "production", hours(1), hours(11))],
    "and a product that was another": [
        _schedule("S3", "B", "production", hours(10), hours(20)),
        statement("UPDATE raw.mes_schedules SET product = 'nuts' WHERE schedule_id = 'S3'"),
    ],
    "shifts": [_shift("night", hours(-1), hours(6)), _shift("day", hours(6), hours(14))],
    "a master record": [
        statement(
            "INSERT INTO raw.sap_equipment (equipment_id, plant_id, model, commissioned_on, criticality, available_at)"
            " VALUES ('A', 'P', 'X1', %s, 'A', %s)", date(2020, 1, 1), DAY,
        ),
        statement("UPDATE raw.sap_equipment SET commissioned_on = %s WHERE equipment_id = 'A'", date(2021, 1, 1)),
    ],
    "failures": [
        statement(
            "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, available_at)"
            " VALUES (%s, 'A', 'bearing', 'bearing_wear', %s, %s)", name, at, DAY,
        )
        for name, at in (("F1", hours(-500)), ("F2", hours(9)))
    ],
    "errors": [
        statement(
            "INSERT INTO raw.cmms_errors (error_id, equipment_id, error_code, occurred_at, available_at)"
            " VALUES (%s, 'B', 'E7', %s, %s)", name, at, DAY,
        )
        for name, at in (("E1", hours(-8)), ("E2", hours(4)), ("E3", hours(4.5)))
    ],
    "a component": [
        statement(
            "INSERT INTO raw.cmms_maintenance (maintenance_id, equipment_id, component, kind, performed_at,"
            " available_at) VALUES ('M1', 'B', 'belt', 'proactive', %s, %s)", hours(7), DAY,
        )
    ],
    "an order of the MES": [
        statement(
            "INSERT INTO raw.mes_production_orders (order_id, equipment_id, product, planned_quantity, unit,"
            " planned_rate, planned_start, planned_end, actual_start, status, available_at)"
            " VALUES ('O1', 'A', 'bolts', 100, 'pcs', 10, %s, %s, %s, 'running', %s)",
            hours(12), hours(18), hours(12.5), DAY,
        ),
        statement(
            "UPDATE raw.mes_production_orders SET actual_end = %s, status = 'completed' WHERE order_id = 'O1'",
            hours(17),
        ),
    ],
    "a gap that opens, closes and is repaired": [
        _gap(1, hours(13), None),
        statement("UPDATE raw.sensor_gaps SET to_ts = %s WHERE tag_id = 1", hours(13.7)),
        statement("UPDATE raw.sensor_gaps SET repaired = true WHERE tag_id = 1"),
    ],
    "a gap that stays": [_gap(6, hours(15.2), hours(15.6))],
    "a scheduled order that begins late and is done early": [
        statement(
            "INSERT INTO raw.mes_production_orders (order_id, equipment_id, product, planned_quantity, unit,"
            " planned_rate, planned_start, planned_end, status, available_at)"
            " VALUES ('O-S3', 'B', 'bolts', 100, 'pcs', 10, %s, %s, 'planned', %s)", hours(10), hours(20), DAY,
        ),
        statement(
            "UPDATE raw.mes_production_orders SET actual_start = %s, status = 'running' WHERE order_id = 'O-S3'",
            hours(11),
        ),
        statement(
            "UPDATE raw.mes_production_orders SET actual_end = %s, status = 'completed' WHERE order_id = 'O-S3'",
            hours(19),
        ),
    ],
}  # fmt: skip


def batches(seed: int, chains: dict[str, list[Change]]) -> tuple[list[Batch], list[Reading]]:
    """The day cut into batches, the last two of them after midnight; and readings for a transaction that is slow."""
    chance = random.Random(seed)
    count = len(WEIGHTS)
    found = [Batch(DAY_END - timedelta(minutes=count - i)) for i in range(count)]
    found[-2].moment, found[-1].moment = DAY_END + 5 * MINUTE, DAY_END + 6 * MINUTE
    parts = stretches(chance)
    slow = [part for part in parts if part[0][0] == OTHER_TEMPERATURE][5]
    joins_at = 1
    for part in parts:
        if part[0][5] == slow[0][5]:
            continue
        index = chance.choices(range(count), WEIGHTS)[0]
        found[max(index, joins_at) if part[0][0] in JOINED else index].readings += part
    found[joins_at].changes += JOIN
    for steps in chains.values():
        for index, step in zip(sorted(chance.choices(range(count), k=len(steps))), steps, strict=True):
            found[index].changes.append(step)
    for batch in found:
        chance.shuffle(batch.readings)
    # Clocks that run ahead: rows of the next day are there before its baselines are.
    found[-3].readings += [
        (tag, DAY_END + i * MINUTE, base, None, GOOD, chance.getrandbits(60))
        for tag, base in {**BASES, **JOINED}.items()
        for i in range(4)
    ]
    return found, slow
