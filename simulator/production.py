"""What the MES recorded of production: orders, what came out by the hour, why machines stood, what inspectors found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from simulator.exports import moment
from simulator.faults import SENSOR, component, severities
from simulator.machines import Floats, Machines, stream
from simulator.noise import DAY_S
from simulator.schedule import MAINTENANCE, Schedule, Slot
from simulator.timeline import MINUTE, Stretch, Timeline

_HOUR = 3600.0
_PLANNED_S = 2 * DAY_S  # from when an order is planned until it begins
_BOOKED_S = 300.0  # from the end of an hour until its count is booked
_DEFECTS = {
    "crusher": ("oversize", "contamination"),
    "screen": ("oversize", "undersize"),
    "mill": ("coarse_grind", "overgrind"),
    "reactor": ("low_recovery", "off_spec_ph"),
}
_SCRAP = 0.004  # of machines that only move or crush what they are given
# Power of a machine that idles and what it takes more at full load, as shares of the full (physics.py).
_IDLE_POWER, _LOAD_POWER = 0.18, 0.82


def orders(timeline: Timeline, schedule: Schedule) -> Iterator[dict[str, Any]]:
    """An order of each machine for every block of days: done, running where the past ends, and planned for after it."""
    machines, ahead = timeline.machines, timeline.until + _PLANNED_S
    # Slots of the blocks before and after too: an order is whole, however the past is cut.
    around = schedule.slots(timeline.first - 3 * DAY_S, ahead + 3 * DAY_S)
    for order_id, slots in _by_order(around):
        if slots[-1].ends <= timeline.first or slots[0].starts >= ahead:
            continue
        machine = slots[0].machine
        # What OEE is a share of: the machine's best, not what its shifts are asked for.
        rate = machines.full("throughput", machine)
        full_hours = sum(slot.target * (slot.ends - slot.starts) / _HOUR for slot in slots)
        first, last = slots[0].starts, slots[-1].ends
        began, done = first < timeline.until, last <= timeline.until
        yield {
            "order_id": order_id,
            "equipment_id": machines.ids[machine],
            "product": slots[0].product,
            "planned_quantity": round(rate * full_hours, 1),
            "unit": "t",
            "planned_rate": round(rate, 2),
            "planned_start": moment(first),
            "planned_end": moment(last),
            "actual_start": moment(first) if began else None,
            "actual_end": moment(last) if done else None,
            "status": "completed" if done else "running" if began else "planned",
            # A plan is known ahead; that it began or was done, when it was so.
            "available_at": moment(last if done else first if began else first - _PLANNED_S),
        }


def counts(timeline: Timeline, means: Stretch) -> Iterator[dict[str, Any]]:
    """What came out of each machine in every whole hour, from what it really did.

    The belt scale is a machine's first throughput sensor; where there is none, the power tells how hard it worked.
    """
    machines = timeline.machines
    skipped = int(-(timeline.first // -_HOUR) * _HOUR - timeline.first) // int(MINUTE)
    whole = (len(means.times) - skipped) // 60
    starts = means.times[skipped : skipped + whole * 60 : 60]
    hourly = means.values[skipped : skipped + whole * 60].reshape(whole, 60, -1).mean(axis=1)
    grown = severities(timeline.past.faults, starts + _HOUR / 2, machines.count)
    worst = np.maximum.reduce(list(grown.values()))
    order_of = {machine: list(slots) for machine, slots in groupby(timeline.past.slots, lambda slot: slot.machine)}
    for machine, equipment_id in enumerate(machines.ids):
        produced = np.round(_output(machines, machine, hourly), 1)
        bad = 0.02 + 0.14 * worst[:, machine] if machines.types[machine] in _DEFECTS else _SCRAP
        good = np.minimum(np.round(produced * (1 - bad), 1), produced)
        own = order_of[machine]
        index = np.searchsorted([slot.starts for slot in own], starts, side="right") - 1
        for hour, at in enumerate(starts.tolist()):
            if at + _HOUR + _BOOKED_S > timeline.until:
                break
            yield {
                "count_id": f"PC-{equipment_id}-{int(at)}",
                "equipment_id": equipment_id,
                "order_id": own[index[hour]].order_id,
                "from_ts": moment(at),
                "to_ts": moment(at + _HOUR),
                "produced_quantity": float(produced[hour]),
                "good_quantity": float(good[hour]),
                "unit": "t",
                "available_at": moment(at + _HOUR + _BOOKED_S),
            }


def _output(machines: Machines, machine: int, hourly: Floats) -> Floats:
    """Tonnes an hour, from hourly means of all channels."""
    channels = {machines.channels[c].tag.measurement: c for c in reversed(machines.channels_of(machine))}
    if "throughput" in channels:
        tonnes = hourly[:, channels["throughput"]]
        # A scale at rest still shows a little; nobody books that.
        return np.where(tonnes < 0.01 * machines.full("throughput", machine), 0.0, tonnes)
    full = machines.full("throughput", machine)
    if "power" not in channels:
        return np.zeros(len(hourly))
    share = hourly[:, channels["power"]] / machines.full("power", machine)
    # A worn drive takes more power for the same tonnes.
    return full * np.clip((share - _IDLE_POWER) / _LOAD_POWER, 0.0, 1.0)


def downtime(timeline: Timeline) -> list[dict[str, Any]]:
    """Every stretch in which a machine stood; each row is known once the machine runs again."""
    past = timeline.past
    found = []
    for stop in past.planned:
        service = stop.state == MAINTENANCE
        reason = "planned_maintenance" if service else "no_demand"
        found.append((stop.starts, stop.ends, stop.machine, True, reason, stop.starts if service else None))
    for episode in past.episodes:
        if episode.fault.mode in SENSOR:
            continue  # a sensor is changed while the machine runs
        starts = episode.repair_starts if episode.caught else episode.noticed
        reason = f"{'repair' if episode.caught else 'breakdown'}_{component(episode.fault.mode)}"
        found.append((starts, episode.repaired, episode.fault.machine, False, reason, episode.noticed))
    return [_stood(timeline.machines.ids[row[2]], *row) for row in sorted(found) if row[1] <= timeline.until]


def _stood(
    equipment_id: str, starts: float, ends: float, _machine: int, planned: bool, reason: str, order: float | None
) -> dict[str, Any]:
    return {
        "downtime_id": f"DT-{equipment_id}-{int(starts)}",
        "equipment_id": equipment_id,
        "starts_at": moment(starts),
        "ends_at": moment(ends),
        "planned": "true" if planned else "false",
        "reason": reason,
        "work_order_id": None if order is None else f"WO-{equipment_id}-{int(order)}",
        "available_at": moment(ends),
    }


def _by_order(slots: list[Slot]) -> Iterator[tuple[str, list[Slot]]]:
    for order_id, own in groupby(slots, lambda slot: slot.order_id):
        yield order_id, list(own)


def inspections(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
    """Twice a shift where something is made; a faulty machine makes more that fails."""
    machines, past = timeline.machines, timeline.past
    for slot in past.slots:
        kind = machines.types[slot.machine]
        if kind not in _DEFECTS:
            continue
        equipment_id = machines.ids[slot.machine]
        own = stream(seed, "inspection", equipment_id, int(slot.starts))
        for hours in (2, 6):
            at = slot.starts + hours * _HOUR + float(own.integers(0, 30)) * 60
            if (
                not timeline.first <= at < timeline.until - _HOUR / 2
                or timeline.said(np.array([at]))[0, slot.machine] != "RUNNING"
            ):
                continue
            grown = severities(past.faults, np.array([at]), machines.count)
            worst = max(float(column[0, slot.machine]) for column in grown.values())
            defects = int(own.binomial(50, 0.02 + 0.14 * worst))
            yield {
                "inspection_id": f"QI-{equipment_id}-{int(at)}",
                "equipment_id": equipment_id,
                "order_id": slot.order_id,
                "inspected_at": moment(at),
                "sample_size": 50,
                "defects": defects,
                "defect_type": _DEFECTS[kind][int(own.integers(2))] if defects else None,
                "passed": "true" if defects <= 4 else "false",
                "available_at": moment(at + _HOUR / 2),
            }
