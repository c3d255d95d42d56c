"""The plant as it runs now: the same physics as history, a second at a time, with what people do to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest.plant import Plant
from simulator.errors import SimulatorError
from simulator.faults import Fault, make_fault
from simulator.machines import Floats, machines, stream
from simulator.noise import DAY_S
from simulator.physics import Physics
from simulator.schedule import IDLE, RUNNING, Quiet, Schedule, Slot, Stop, states, targets

_HOUR = 3600.0
_MINUTE = 60.0
_CALM = 6 * _HOUR  # no planned stops around the start: the physics has warmed up and whoever came can look
_IDLE_BELOW = 0.02


@dataclass(frozen=True)
class Second:
    """One second of the plant: values of the analog tags, set points as a share of full load, states."""

    moment: float
    values: Floats
    asked: Floats
    states: list[str]


class LivePlant:
    """Steps forward from `moment` (seconds since 1970), where it has been running normally for hours."""

    def __init__(self, plant: Plant, seed: int, moment: float) -> None:
        self.machines = machines(plant, seed)
        self.faults: list[Fault] = []
        self._seed = seed
        self._schedule = Schedule(plant, seed)
        self._physics = Physics(self.machines, seed)
        self._quiet = Quiet(moment - _CALM, moment + _CALM)
        self._written: dict[int, float] = {}
        self._planned_until = 0.0
        self._slots: list[Slot] = []
        self._stops: list[Stop] = []
        self._state = self._physics.standing(moment - _CALM)
        self._shocks = stream(seed, "live", int(moment))
        self._now = moment - _CALM
        self._step(np.arange(self._now, moment, _MINUTE), _MINUTE)
        self._now = moment

    @property
    def now(self) -> float:
        """The second that comes next."""
        return self._now

    def write_set_point(self, machine: int, share: float) -> None:
        """From the next second on the machine is asked for this share of its full load, until told otherwise."""
        self._written[machine] = share

    def inject(self, equipment_id: str, mode: str, minutes: float) -> Fault:
        """Start a fault that is at its full in `minutes`; raises SimulatorError, which names what is legal."""
        fault = make_fault(self.machines, self._seed, equipment_id, mode, self._now, minutes * 60)
        self.faults.append(fault)
        return fault

    def repair(self, equipment_id: str) -> list[Fault]:
        """End all faults of a machine; returns them. Raises SimulatorError."""
        if equipment_id not in self.machines.ids:
            raise SimulatorError(f"equipment must be one of {', '.join(self.machines.ids)}. Got: {equipment_id!r}")
        machine = self.machines.ids.index(equipment_id)
        ended = [fault for fault in self.faults if fault.machine == machine]
        self.faults = [fault for fault in self.faults if fault.machine != machine]
        return ended

    def seconds(self, count: int) -> list[Second]:
        """The next `count` seconds."""
        if count < 1:
            return []
        times = self._now + np.arange(count, dtype=np.float64)
        values, asked, said = self._step(times, 1.0)
        self._now += count
        return [Second(float(times[i]), values[i], asked[i], said[i].tolist()) for i in range(count)]

    def _step(self, times: Floats, step_s: float) -> tuple[Floats, Floats, np.ndarray]:
        self._plan(float(times[0]), float(times[-1]))
        asked = targets(self._slots, times, self.machines.count)
        for machine, share in self._written.items():
            asked[:, machine] = share
        said = states(self._stops, times, self.machines.count)
        said[(said == RUNNING) & (asked < _IDLE_BELOW)] = IDLE
        running = (said == RUNNING).astype(float)
        values = self._physics.advance(self._state, times, step_s, asked, running, self.faults, self._shocks)
        return values, asked, said

    def _plan(self, first: float, last: float) -> None:
        """Shifts and stops are looked up a day ahead."""
        if last >= self._planned_until:
            until = last + DAY_S
            self._slots = self._schedule.slots(first, until)
            self._stops = self._schedule.planned_stops(first - DAY_S, until, [self._quiet])
            self._planned_until = until
