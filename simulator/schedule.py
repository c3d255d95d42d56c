"""What the plant is asked to do and when machines stand still: shifts, orders, planned stops, repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ingest.plant import Plant
from simulator.machines import Floats, stream

SHIFTS = (("night", 22, 0.81), ("day", 6, 0.93), ("evening", 14, 0.89))  # name, first hour, share of full load
PRODUCTS = ("A", "B", "C")
_FACTORS = (1.0, 0.95, 1.03)  # of the products
_ORDER_DAYS = 2
_WEEK_DAYS = 7
RUNNING, IDLE, STOPPED, MAINTENANCE = "RUNNING", "IDLE", "STOPPED", "MAINTENANCE"


@dataclass(frozen=True)
class Slot:
    """One shift of one machine: what it is asked for."""

    machine: int
    shift: str
    order_id: str
    product: str
    target: float
    starts: float
    ends: float


@dataclass(frozen=True)
class Stop:
    """A machine stands still from `starts` to `ends`, in the state that its tag says."""

    machine: int
    state: str
    starts: float
    ends: float

    def overlaps(self, starts: float, ends: float) -> bool:
        return self.starts < ends and self.ends > starts


@dataclass(frozen=True)
class Quiet:
    """A stretch without planned stops, of one machine or of all (None)."""

    starts: float
    ends: float
    machine: int | None = None


class Schedule:
    """Functions of the seed and of time, so that history and the live plant agree on them."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self._seed = seed
        self._zone: ZoneInfo = plant.zone
        self._ids = list(plant.equipment)
        self._lines = [equipment.area or equipment_id for equipment_id, equipment in plant.equipment.items()]

    def slots(self, first: float, last: float) -> list[Slot]:
        """The shifts of every machine that overlap [first, last), by machine and time."""
        found = []
        for machine, line in enumerate(self._lines):
            for day in self._dates(first, last):
                block = day.toordinal() // _ORDER_DAYS
                product = int(stream(self._seed, "order", line, block).integers(len(PRODUCTS)))
                for name, hour, share in SHIFTS:
                    starts = self._local(day, hour)
                    ends = self._local(day + timedelta(days=hour == 22), (hour + 8) % 24)
                    if ends > first and starts < last:
                        found.append(
                            Slot(
                                machine,
                                name,
                                f"PO-{block}-{self._ids[machine]}",
                                PRODUCTS[product],
                                share * _FACTORS[product],
                                starts,
                                ends,
                            )
                        )
        return sorted(found, key=lambda slot: (slot.machine, slot.starts))

    def planned_stops(self, first: float, last: float, quiet: Sequence[Quiet] = ()) -> list[Stop]:
        """Maintenance every fourth week and an idle hour or two most weeks, unless `quiet` forbids it."""
        found: list[Stop] = []
        weeks = sorted({day.toordinal() // _WEEK_DAYS for day in self._dates(first, last)})
        for machine, equipment_id in enumerate(self._ids):
            for week in weeks:
                own = stream(self._seed, "stops", equipment_id, week)
                monday = date.fromordinal(week * _WEEK_DAYS + 1)
                workday, morning, hours = int(own.integers(0, 5)), int(own.integers(7, 10)), own.uniform(3, 5)
                idle_hour, idle_hours, idles = int(own.integers(0, 7 * 24)), own.uniform(1, 2.5), own.random() < 0.75
                stops = []
                if (week + machine) % 4 == 0:
                    starts = self._local(monday + timedelta(days=workday), morning)
                    stops.append(Stop(machine, MAINTENANCE, starts, starts + _whole_minutes(hours)))
                if idles:
                    starts = self._local(monday + timedelta(days=idle_hour // 24), idle_hour % 24)
                    idle = Stop(machine, IDLE, starts, starts + _whole_minutes(idle_hours))
                    if not any(idle.overlaps(s.starts - 3600, s.ends + 3600) for s in stops):
                        stops.append(idle)
                found += [stop for stop in stops if stop.overlaps(first, last) and not _forbidden(stop, quiet)]
        return sorted(found, key=lambda stop: (stop.machine, stop.starts))

    def _dates(self, first: float, last: float) -> list[date]:
        """The plant's days of [first, last), and the one before, whose night shift reaches into it."""
        day = datetime.fromtimestamp(first, self._zone).date() - timedelta(days=1)
        end = datetime.fromtimestamp(last, self._zone).date()
        return [day + timedelta(days=n) for n in range((end - day).days + 1)]

    def _local(self, day: date, hour: int) -> float:
        return datetime.combine(day, time(hour), self._zone).astimezone(UTC).timestamp()


def targets(slots: Sequence[Slot], times: Floats, machine_count: int) -> Floats:
    """The share of full load asked for at `times` (n,) as (n, machines)."""
    asked = np.zeros((len(times), machine_count))
    machines = np.array([slot.machine for slot in slots])
    starts, wanted = np.array([slot.starts for slot in slots]), np.array([slot.target for slot in slots])
    for machine in range(machine_count):
        own = machines == machine
        index = np.searchsorted(starts[own], times, side="right") - 1
        asked[:, machine] = wanted[own][index]
    return asked


def states(stops: Sequence[Stop], times: Floats, machine_count: int) -> np.ndarray:
    """The run state at `times` (n,) as an array of text, (n, machines)."""
    said = np.full((len(times), machine_count), RUNNING, dtype="<U11")
    for stop in stops:
        if stop.overlaps(times[0], times[-1] + 1):
            said[(times >= stop.starts) & (times < stop.ends), stop.machine] = stop.state
    return said


def _whole_minutes(hours: float) -> float:
    return round(hours * 12) * 300.0


def _forbidden(stop: Stop, quiet: Sequence[Quiet]) -> bool:
    return any(q.machine in (None, stop.machine) and stop.overlaps(q.starts, q.ends) for q in quiet)
