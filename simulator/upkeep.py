"""What the CMMS recorded: work orders, failures, services, what machines reported. Nobody saw a fault begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.exports import moment
from simulator.faults import MECHANICAL, component, modes_of
from simulator.machines import stream
from simulator.noise import DAY_S
from simulator.past import Episode
from simulator.schedule import MAINTENANCE, RUNNING
from simulator.timeline import Timeline

_REMEDY = {
    "bearing_wear": "replaced bearing, aligned shaft",
    "cooling_loss": "flushed cooler, replaced coolant filter",
    "blockage": "cleared blockage, checked liner",
    "belt_slip": "tensioned belt, replaced lagging",
    "sensor_stuck": "replaced sensor",
    "sensor_drift": "recalibrated sensor",
}
# What a machine reports of itself. The same codes come without a fault, and most faults bring some.
_ERRORS = {
    "bearing_wear": ("E21", "vibration above its usual band"),
    "cooling_loss": ("E12", "coolant flow low"),
    "blockage": ("E33", "drive current high"),
    "belt_slip": ("E34", "speed below its set point"),
    "sensor_stuck": ("E51", "signal implausible"),
    "sensor_drift": ("E51", "signal implausible"),
}
_DAYS_BETWEEN_ERRORS = 8.0
_LOGGED_S = 60.0  # from an error until it is in the log


def work_orders(timeline: Timeline) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Work orders and failures; each row is known once it is closed, for that is when its codes are entered."""
    ids = timeline.machines.ids
    orders = [
        {
            "work_order_id": f"WO-{ids[stop.machine]}-{int(stop.starts)}",
            "equipment_id": ids[stop.machine],
            "kind": "preventive",
            "action_taken": "inspected and lubricated",
            "opened_at": moment(stop.starts - 7 * DAY_S),
            "started_at": moment(stop.starts),
            "completed_at": moment(stop.ends),
            "available_at": moment(stop.ends),
        }
        for stop in timeline.past.planned
        if stop.state == MAINTENANCE and stop.ends <= timeline.until
    ]
    failures = []
    for episode in timeline.past.episodes:
        orders.append(_corrective(ids[episode.fault.machine], episode))
        if not episode.caught:
            failures.append(
                {
                    "failure_id": f"F-{ids[episode.fault.machine]}-{int(episode.noticed)}",
                    "equipment_id": ids[episode.fault.machine],
                    "component": component(episode.fault.mode),
                    "failure_mode": episode.fault.mode,
                    "failed_at": moment(episode.noticed),
                    "repaired_at": moment(episode.repaired),
                    "work_order_id": orders[-1]["work_order_id"],
                    "available_at": moment(episode.repaired),
                }
            )
    return sorted(orders, key=lambda row: str(row["opened_at"])), failures


def _corrective(equipment_id: str, episode: Episode) -> dict[str, Any]:
    mode = episode.fault.mode
    return {
        "work_order_id": f"WO-{equipment_id}-{int(episode.noticed)}",
        "equipment_id": equipment_id,
        "kind": "corrective",
        "component": component(mode),
        "problem_code": mode,
        "action_taken": _REMEDY[mode],
        "opened_at": moment(episode.noticed),
        "started_at": moment(episode.repair_starts),
        "completed_at": moment(episode.repaired),
        "available_at": moment(episode.repaired),
    }


def maintenance(timeline: Timeline, seed: int) -> list[dict[str, Any]]:
    """Components that were serviced at planned stops, and those that were replaced when work orders were done."""
    machines = timeline.machines
    found = []
    for stop in timeline.past.planned:
        if stop.state == MAINTENANCE and stop.ends <= timeline.until:
            own = stream(seed, "service", machines.ids[stop.machine], int(stop.starts))
            parts = sorted({component(mode) for mode in modes_of(machines, stop.machine) if mode in MECHANICAL})
            part = str(own.choice(parts)) if parts else "machine"
            found.append((stop.machine, part, "proactive", stop.ends, int(stop.starts)))
    for episode in timeline.past.episodes:
        kind = "proactive" if episode.caught else "corrective"
        part = component(episode.fault.mode)
        found.append((episode.fault.machine, part, kind, episode.repaired, int(episode.noticed)))
    return [
        {
            "maintenance_id": f"M-{machines.ids[machine]}-{int(at)}",
            "equipment_id": machines.ids[machine],
            "component": part,
            "kind": kind,
            "performed_at": moment(at),
            "work_order_id": f"WO-{machines.ids[machine]}-{order}",
            "available_at": moment(at),
        }
        for machine, part, kind, at, order in sorted(found, key=lambda row: row[3])
    ]


def errors(timeline: Timeline, seed: int) -> list[dict[str, Any]]:
    """What machines reported while they ran: some of nothing, and before two faults of three a few of what came."""
    machines, found = timeline.machines, set[tuple[float, int, str, str]]()
    for machine, equipment_id in enumerate(machines.ids):
        own = stream(seed, "errors", equipment_id)
        codes = [_ERRORS[mode] for mode in modes_of(machines, machine)]
        count = int(own.poisson((timeline.until - timeline.first) / (_DAYS_BETWEEN_ERRORS * DAY_S)))
        for at in np.sort(own.uniform(timeline.first, timeline.until - _LOGGED_S, count)) if codes else []:
            found.add((float(at // 1), machine, *codes[int(own.integers(len(codes)))]))
    for episode in timeline.past.episodes:
        fault = episode.fault
        own = stream(seed, "warned", fault.machine, int(fault.starts))
        if own.random() < 2 / 3:
            for severity in own.uniform(0.3, 0.9, int(own.integers(1, 4))):
                at = fault.grown_to(float(severity)) // 1
                if at < episode.noticed:
                    found.add((at, fault.machine, *_ERRORS[fault.mode]))
    running = {(at, machine): timeline.said(np.array([at]))[0, machine] == RUNNING for at, machine, *_ in found}
    return [
        {
            "error_id": f"ER-{machines.ids[machine]}-{int(at)}-{code}",
            "equipment_id": machines.ids[machine],
            "error_code": code,
            "occurred_at": moment(at),
            "message": message,
            "available_at": moment(at + _LOGGED_S),
        }
        for at, machine, code, message in sorted(found)
        if running[at, machine]
    ]
