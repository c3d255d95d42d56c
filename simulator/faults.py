"""What breaks: failure modes, which machine can have which, and how far one has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import SimulatorError
from simulator.machines import BELT_DRIVEN, COOLED, Floats, Machines, stream

MECHANICAL = ("bearing_wear", "cooling_loss", "blockage", "belt_slip")
SENSOR = ("sensor_stuck", "sensor_drift")
MODES = MECHANICAL + SENSOR
_COMPONENTS = {
    "bearing_wear": "bearing",
    "cooling_loss": "cooling",
    "blockage": "feed",
    "belt_slip": "belt",
    "sensor_stuck": "sensor",
    "sensor_drift": "sensor",
}


@dataclass(frozen=True)
class Fault:
    """A fault of one machine; times in seconds since 1970. A sensor's fault has its `channel`."""

    machine: int
    mode: str
    starts: float
    full: float
    ends: float = np.inf
    channel: int | None = None

    def severity(self, times: Floats) -> Floats:
        """How far it has grown, 0 to 1: slow at first, gone once it is repaired."""
        grown = np.clip((times - self.starts) / (self.full - self.starts), 0.0, 1.0) ** 1.5
        return np.where(times < self.ends, grown, 0.0)

    def grown_to(self, severity: float) -> float:
        """When it reaches `severity`."""
        return float(self.starts + (self.full - self.starts) * severity ** (1 / 1.5))

    def touches(self, first: float, last: float) -> bool:
        return self.starts <= last and self.ends > first


def component(mode: str) -> str:
    """The part that a maintainer would write down."""
    return _COMPONENTS[mode]


def modes_of(machines: Machines, machine: int) -> list[str]:
    """The modes that a machine can have: nothing without a cooler loses it, nothing without a belt slips."""
    kind = machines.types[machine]
    measured = {machines.channels[c].tag.measurement for c in machines.channels_of(machine)}
    possible = []
    if "vibration" in measured:
        possible.append("bearing_wear")
    if kind in COOLED and "temperature" in measured:
        possible.append("cooling_loss")
    if "throughput" in measured:
        possible.append("blockage")
    if kind in BELT_DRIVEN and measured & {"speed", "throughput"}:
        possible.append("belt_slip")
    return possible + (list(SENSOR) if measured else [])


def make_fault(
    machines: Machines, seed: int, equipment_id: str, mode: str, starts: float, growth_s: float, ends: float = np.inf
) -> Fault:
    """A fault that has grown to its full after `growth_s`; raises SimulatorError, which names what is legal."""
    if equipment_id not in machines.ids:
        raise SimulatorError(f"equipment must be one of {', '.join(machines.ids)}. Got: {equipment_id!r}")
    machine = machines.ids.index(equipment_id)
    if mode not in MODES:
        raise SimulatorError(f"mode must be one of {', '.join(MODES)}. Got: {mode!r}")
    if mode not in (possible := modes_of(machines, machine)):
        raise SimulatorError(f"mode of {equipment_id} must be one of {', '.join(possible)}. Got: {mode!r}")
    if not (0 < growth_s < np.inf):
        raise SimulatorError(f"minutes must be a positive number. Got: {growth_s / 60:g}")
    channel = None
    if mode in SENSOR:
        own = machines.channels_of(machine)
        channel = own[int(stream(seed, mode, equipment_id, int(starts)).integers(len(own)))]
    return Fault(machine, mode, starts, starts + growth_s, ends, channel)


def severities(faults: Sequence[Fault], times: Floats, machine_count: int) -> dict[str, Floats]:
    """The worst severity of each mechanical mode, (n, machines), at `times` (n,)."""
    worst = {mode: np.zeros((len(times), machine_count)) for mode in MECHANICAL}
    for fault in faults:
        if fault.mode in worst and fault.touches(times[0], times[-1]):
            column = worst[fault.mode][:, fault.machine]
            np.maximum(column, fault.severity(times), out=column)
    return worst
