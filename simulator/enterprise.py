"""What MES, SAP and CMMS exported of the same past: what was planned, and the master data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.files.contracts import CONTRACTS
from simulator import production, upkeep
from simulator.exports import moment, write_csv
from simulator.machines import stream
from simulator.noise import DAY_S
from simulator.schedule import MAINTENANCE, Quiet, Schedule, Slot, Stop
from simulator.timeline import Stretch, Timeline

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
_COUNTRIES = {"Europe/Oslo": "Norway"}
# What is planned is known that many days before it begins, so the files reach beyond the end of the past.
_SHIFTS_AHEAD, _SCHEDULES_AHEAD = 14, 2
_QUIET_S = 8 * 3600.0  # around the end of the past no stop is planned: the live plant begins there


def write(timeline: Timeline, means: Stretch, seed: int, out: Path) -> None:
    """Write a file for each table of `raw.mes_*`, `raw.sap_*` and `raw.cmms_*` under `out`."""
    orders, failures = upkeep.work_orders(timeline)
    exports = {
        "mes_production_orders": production.orders(timeline, Schedule(timeline.plant, seed)),
        "mes_production_counts": production.counts(timeline, means),
        "mes_downtime": production.downtime(timeline),
        "mes_shifts": _shifts(timeline, seed),
        "mes_schedules": _schedules(timeline, seed),
        "mes_quality_inspections": production.inspections(timeline, seed),
        "sap_plants": _plants(timeline),
        "sap_equipment": _assets(timeline, seed),
        "sap_spare_parts": _parts(timeline, seed),
        "cmms_work_orders": orders,
        "cmms_maintenance": upkeep.maintenance(timeline, seed),
        "cmms_failures": failures,
        "cmms_errors": upkeep.errors(timeline, seed),
    }
    for table, rows in exports.items():
        write_csv(out / f"{table}.csv", CONTRACTS[table].names, rows)


def _shifts(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
    slots = Schedule(timeline.plant, seed).slots(timeline.first, timeline.until + _SHIFTS_AHEAD * DAY_S)
    for number, slot in enumerate(slot for slot in slots if slot.machine == 0):
        yield {
            "shift_id": f"SH-{int(slot.starts)}",
            "plant_id": timeline.plant.plant_id,
            "shift": slot.shift,
            "crew": _CREWS[number // 2 % len(_CREWS)],
            "starts_at": moment(slot.starts),
            "ends_at": moment(slot.ends),
            "available_at": moment(slot.starts - _SHIFTS_AHEAD * DAY_S),
        }


def _schedules(timeline: Timeline, seed: int) -> Iterator[dict[str, Any]]:
    machines, schedule, until = timeline.machines, Schedule(timeline.plant, seed), timeline.until
    ahead = until + _SCHEDULES_AHEAD * DAY_S
    quiet = Quiet(until - _QUIET_S, until + _QUIET_S)
    stops = timeline.past.planned + schedule.planned_stops(until + _QUIET_S, ahead, [quiet])
    for slot in schedule.slots(timeline.first, ahead):
        equipment_id = machines.ids[slot.machine]
        load = timeline.plant.equipment[equipment_id].load or "throughput"
        for planned_state, starts, ends in _planned(slot, stops):
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
                "available_at": moment(slot.starts - _SCHEDULES_AHEAD * DAY_S),
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


def _plants(timeline: Timeline) -> Iterator[dict[str, Any]]:
    plant = timeline.plant
    yield {
        "plant_id": plant.plant_id,
        "name": plant.name,
        "country": _COUNTRIES.get(plant.timezone, "Unknown"),
        "city": plant.timezone.rpartition("/")[2].replace("_", " "),
        "currency": "EUR",
        "available_at": moment(timeline.first - 30 * DAY_S),
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
