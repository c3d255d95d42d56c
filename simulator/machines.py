"""The machines that the simulator runs: each one's constants, drawn around those of its type."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.plant import Plant, Tag

Floats = npt.NDArray[np.float64]

# At full load, by type. temperature is the rise over the surroundings in °C, process an offset that the process
# itself holds; tau_heat is the time constant of heating up, in minutes.
_TYPES: dict[str, dict[str, float]] = {
    "haul_truck": {"temperature": 44, "vibration": 2.0, "power": 1650, "throughput": 220, "tau_heat": 18},
    "crusher": {"temperature": 38, "vibration": 2.3, "power": 420, "throughput": 1200, "tau_heat": 22},
    "screen": {"temperature": 31, "vibration": 4.2, "power": 75, "throughput": 1100, "tau_heat": 15},
    "conveyor": {"temperature": 29, "vibration": 1.5, "power": 310, "throughput": 1200, "speed": 3.6, "tau_heat": 15},
    "pump": {"temperature": 36, "vibration": 1.8, "power": 250, "throughput": 640, "pressure": 6.2, "tau_heat": 12},
    "mill": {"temperature": 33, "vibration": 2.1, "power": 6200, "throughput": 520, "tau_heat": 28},
    "reactor": {
        "temperature": 28, "process": 115, "vibration": 1.2, "power": 130, "throughput": 180, "pressure": 9.6,
        "tau_heat": 26,
    },
}  # fmt: skip
_ANY_TYPE: dict[str, float] = {
    "temperature": 35, "vibration": 1.8, "power": 200, "throughput": 500, "pressure": 6.0, "speed": 3.0,
    "current": 120, "voltage": 690, "tau_heat": 18,
}  # fmt: skip
BELT_DRIVEN = ("conveyor", "screen", "crusher")
COOLED = ("haul_truck", "crusher", "pump", "mill", "reactor")


@dataclass(frozen=True)
class Channel:
    """One analog tag: whose it is and where its column stands."""

    machine: int
    tag: Tag


@dataclass(frozen=True)
class Machines:
    """Constants of all machines as arrays over machines, and the analog tags as columns."""

    ids: tuple[str, ...]
    types: tuple[str, ...]
    channels: tuple[Channel, ...]
    rated: dict[str, Floats]  # measurement -> value at full load, over machines
    heat_rise: Floats  # °C over the surroundings at full load
    process_heat: Floats  # °C that the process holds whatever the load
    tau_heat_s: Floats
    tau_load_s: Floats
    exposure: Floats  # how much of the weather a machine feels, 0–1
    channel_gain: Floats  # over channels: two sensors of a kind don't read the same

    @property
    def count(self) -> int:
        return len(self.ids)

    def full(self, set_point: str, machine: int) -> float:
        """What a set point such as `throughput_sp` is at full load, in its unit."""
        return float(self.rated.get(set_point.removesuffix("_sp"), self.rated["throughput"])[machine])

    def channels_of(self, machine: int) -> list[int]:
        return [index for index, channel in enumerate(self.channels) if channel.machine == machine]

    def channels_measuring(self, measurement: str) -> list[int]:
        return [index for index, channel in enumerate(self.channels) if channel.tag.measurement == measurement]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A random stream of its own for every use, so that adding one never changes another."""
    words = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.default_rng([seed, *words])


def machines(plant: Plant, seed: int) -> Machines:
    """The machines of `plant`; the same seed gives the same constants, whatever other machines there are."""
    count = len(plant.equipment)
    rated = {measurement: np.zeros(count) for measurement in _ANY_TYPE if measurement != "tau_heat"}
    process, tau_heat, tau_load, exposure = np.zeros((4, count))
    channels: list[Channel] = []
    gains: list[float] = []
    for index, (equipment_id, equipment) in enumerate(plant.equipment.items()):
        nominal = _ANY_TYPE | _TYPES.get(equipment.type, {})
        own = stream(seed, "machine", equipment_id)
        for measurement, values in rated.items():
            values[index] = nominal[measurement] * (1 + 0.05 * own.uniform(-1, 1))
        if equipment.load is not None and equipment.rated_load is not None and equipment.load in rated:
            rated[equipment.load][index] = equipment.rated_load
        process[index] = nominal.get("process", 0.0)
        tau_heat[index] = 60 * nominal["tau_heat"] * (1 + 0.15 * own.uniform(-1, 1))
        tau_load[index] = 60 * own.uniform(3, 5)
        exposure[index] = own.uniform(0.5, 0.8) if nominal.get("process", 0.0) == 0 else 0.1
        for tag in equipment.tags:
            if tag.role == "measurement":
                channels.append(Channel(index, tag))
                gains.append(1 + 0.03 * stream(seed, "sensor", equipment_id, tag.node).uniform(-1, 1))
    return Machines(
        ids=tuple(plant.equipment),
        types=tuple(equipment.type for equipment in plant.equipment.values()),
        channels=tuple(channels),
        rated=rated,
        heat_rise=rated["temperature"],
        process_heat=process,
        tau_heat_s=tau_heat,
        tau_load_s=tau_load,
        exposure=exposure,
        channel_gain=np.array(gains),
    )
