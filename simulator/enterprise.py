"""What MES, SAP and CMMS exported of the same past. The maintainers code what they found; nobody saw it begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from simulator.exports import moment, write_csv
from simulator.faults import component, severities
from simulator.machines import stream
from simulator.noise import DAY_S
from simulator.past import Episode
from simulator.schedule import MAINTENANCE, Slot, Stop
from simulator.timeline import Timeline

_HOUR = 3600.0
_CREWS = ("A", "B", "C", "D")
_MAKERS = {
    "haul_truck": ("Tyr", "HT-240"),
    "crusher": ("Brekka", "JC-1200"),
    "screen": ("Brekka", "VS-36"),
    "conveyor": ("Beltan", "OC-1200"),
    "pump": ("Strømme", "SP-640"),
    "mill": ("Kvern", "BM-52"),
    "reactor": ("Alkem", "LR-18"),
}
_COST_PER_H = {
    "haul_truck": 4200,
    "crusher": 9500,
    "screen": 5200,
    "conveyor": 6800,
    "pump": 3900,
    "mill": 14500,
    "reactor": 11200,
}
_PARTS = {
    "bearing": ("Spherical roller bearing", 21, 1850.0),
    "cooling": ("Coolant pump and filter set", 10, 940.0),
    "feed": ("Feed chute liner", 7, 620.0),
    "belt": ("Drive belt", 14, 1320.0),
    "sensor": ("Vibration and temperature sensor", 5, 310.0),
}
_REMEDY = {
    "bearing_wear": "replaced bearing, aligned shaft",
    "cooling_loss": "flushed cooler, replaced coolant filter",
    "blockage": "cleared blockage, checked liner",
    "belt_slip": "tensioned belt, replaced lagging",
    "sensor_stuck": "replaced sensor",
    "sensor_drift": "recalibrated sensor",
}
_DEFECTS = {
    "crusher": ("oversize", "contamination"),
    "screen": ("oversize", "undersize"),
    "mill": ("coarse_grind", "overgrind"),
    "reactor": ("low_recovery", "off_spec_ph"),
}


def write(timeline: Timeline, seed: int, out: Path) -> None:
    """Write the seven files of `raw.mes_*`, `raw.sap_*` and `raw.cmms_*` under `out`."""
    write_csv(
        out / "mes_shifts.csv", ("shift_id", "shift", "crew", "starts_at", "ends_at", "available_at"), _shifts(timeline)
    )
    write_csv(
        out / "mes_schedules.csv",
        (
            "schedule_id",
            "equipment_id",
            "order_id",
            "product",
            "planned_state",
            "planned_rate",
            "starts_at",
            "ends_at",
            "available_at",
        ),
        _schedules(timeline),
    )
    write_csv(
        out / "mes_quality_inspections.csv",
        (
            "inspection_id",
            "equipment_id",
            "order_id",
            "inspected_at",
            "sample_size",
            "defects",
            "defect_type",
            "passed",
            "available_at",
        ),
        _inspections(timeline, seed),
    )
    write_csv(
        out / "sap_equipment.csv",
        (
            "equipment_id",
            "plant_id",
            "manufacturer",
            "model",
            "commissioned_on",
            "criticality",
            "downtime_cost_per_h",
            "currency",
            "available_at",
        ),
        _assets(timeline, seed),
    )
    write_csv(
        out / "sap_spare_parts.csv",
        (
            "part_id",
            "plant_id",
            "description",
            "component",
            "model",
            "stock",
            "lead_time_days",
            "unit_cost",
            "available_at",
        ),
        _parts(timeline, seed),
    )
    orders, failures = _maintenance(timeline)
    write_csv(
        out / "cmms_work_orders.csv",
        (
            "work_order_id",
            "equipment_id",
            "kind",
            "component",
            "problem_code",
            "action_taken",
            "opened_at",
            "started_at",
            "completed_at",
            "available_at",
        ),
        orders,
    )
    write_csv(
        out / "cmms_failures.csv",
        (
            "failure_id",
            "equipment_id",
            "component",
            "failure_mode",
            "failed_at",
            "repaired_at",
            "work_order_id",
            "available_at",
        ),
        failures,
    )


def _shifts(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for number, slot in enumerate(slot for slot in timeline.past.slots if slot.machine == 0):
        yield {
            "shift_id": f"SH-{int(slot.starts)}",
            "shift": slot.shift,
            "crew": _CREWS[number // 2 % len(_CREWS)],
            "starts_at": moment(slot.starts),
            "ends_at": moment(slot.ends),
            "available_at": moment(slot.starts - 14 * DAY_S),
        }


def _schedules(timeline: Timeline) -> Iterator[dict[str, Any]]:
    machines, past = timeline.machines, timeline.past
    for slot in past.slots:
        equipment_id = machines.ids[slot.machine]
        load = timeline.plant.equipment[equipment_id].load or "throughput"
        for planned_state, starts, ends in _planned(slot, past.planned):
            produces = planned_state == "production"
            yield {
                "schedule_id": f"PL-{equipment_id}-{int(starts)}",
                "equipment_id": equipment_id,
                "order_id": slot.order_id if produces else None,
                "product": slot.product if produces else None,
                "planned_state": planned_state,
                "planned_rate": round(slot.target * machines.full(load, slot.machine), 1) if produces else 0.0,
                "starts_at": moment(starts),
                "ends_at": moment(ends),
                "available_at": moment(slot.starts - 2 * DAY_S),
            }


def _planned(slot: Slot, stops: list[Stop]) -> Iterator[tuple[str, float, float]]:
    """The slot cut where the machine is planned to stand."""
    at = slot.starts
    for stop in sorted((s for s in stops if s.machine == slot.machine), key=lambda s: s.starts):
        if not stop.overlaps(slot.starts, slot.ends):
            continue
        starts, ends = max(stop.starts, slot.starts), min(stop.ends, slot.ends)
        if starts > at:
            yield "production", at, starts
        yield ("maintenance" if stop.state == MAINTENANCE else "idle"), starts, ends
        at = ends
    if slot.ends > at:
        yield "production", at, slot.ends


def _inspections(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
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


def _assets(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
    known = timeline.first - 30 * DAY_S
    for equipment_id, kind in zip(timeline.machines.ids, timeline.machines.types, strict=True):
        own = stream(seed, "asset", equipment_id)
        maker, model = _MAKERS.get(kind, ("Various", kind.upper()))
        commissioned = datetime.fromtimestamp(known, UTC).date() - timedelta(days=int(own.integers(400, 4500)))
        cost = _COST_PER_H.get(kind, 3000)
        yield {
            "equipment_id": equipment_id,
            "plant_id": timeline.plant.plant_id,
            "manufacturer": maker,
            "model": model,
            "commissioned_on": commissioned.isoformat(),
            "criticality": "A" if cost > 9000 else "B" if cost > 4000 else "C",
            "downtime_cost_per_h": f"{cost:.2f}",
            "currency": "EUR",
            "available_at": moment(known),
        }


def _parts(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
    for model in sorted({_MAKERS.get(kind, ("Various", kind.upper()))[1] for kind in timeline.machines.types}):
        for part, (description, lead_days, cost) in _PARTS.items():
            own = stream(seed, "part", model, part)
            yield {
                "part_id": f"{model}-{part}".upper(),
                "plant_id": timeline.plant.plant_id,
                "description": f"{description}, {model}",
                "component": part,
                "model": model,
                "stock": int(own.integers(0, 5)),
                "lead_time_days": lead_days,
                "unit_cost": f"{cost:.2f}",
                "available_at": moment(timeline.first - 30 * DAY_S),
            }


def _maintenance(timeline: Timeline) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
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
