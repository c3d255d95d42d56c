"""The plant's physics: load drives heat, vibration, power and pressure, faults change how.

The same equations make 90 days of history and one live second. Only load, run-up and heat have a memory; each is a
first-order lag, which is exact at any step, so that a minute's step and sixty seconds' steps agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.faults import Fault, severities
from simulator.machines import Floats, Machines, stream
from simulator.noise import DAY_S, SlowNoise, Waves, lag

_RUN_UP_S = 90.0  # coasting down and running up
# By measurement: slow noise, white noise of one sample, slow drift. Of temperature in °C, of the others as a share
# of full load.
_NOISE = {
    "temperature": (0.25, 0.15, 0.3),
    "vibration": (0.022, 0.035, 0.015),
    "pressure": (0.008, 0.010, 0.006),
    "throughput": (0.008, 0.012, 0.004),
    "power": (0.008, 0.010, 0.004),
    "speed": (0.003, 0.004, 0.002),
    "current": (0.008, 0.010, 0.004),
    "voltage": (0.003, 0.003, 0.002),
}
_DRIFT_SPAN = {"temperature": 16.0, "vibration": 0.9}  # else a share of full load, as in _NOISE
_ANY_DRIFT_SPAN = 0.3


@dataclass
class State:
    """What the machines remember from one step to the next, over machines."""

    load: Floats
    gate: Floats  # 0 standing, 1 up to speed
    heat: Floats  # °C
    held: dict[Fault, float] = field(default_factory=dict)  # what a stuck sensor shows


class Physics:
    """Values of all analog tags of a plant over time."""

    def __init__(self, machines: Machines, seed: int) -> None:
        self.machines = machines
        self._seed = seed
        hours = 3600.0
        sensors = [
            ".".join((machines.ids[channel.machine], channel.tag.measurement, channel.tag.position))
            for channel in machines.channels
        ]
        self._load_noise = SlowNoise(seed, machines.ids, 25 * 60.0)
        self._load_waves = Waves(seed, machines.ids, (5 * hours, 13 * hours, 31 * hours))
        self._sensor_noise = SlowNoise(seed, sensors, 10 * 60.0)
        self._sensor_waves = Waves(seed, sensors, (19 * hours, 53 * hours, 130 * hours))
        self._weather = Waves(seed, ["weather"], (41 * hours, 75 * hours, 185 * hours))
        by_channel = np.array([_NOISE[channel.tag.measurement] for channel in machines.channels])
        self._slow, self._white, self._drift = by_channel.T
        self._machine_of = np.array([channel.machine for channel in machines.channels])
        self._is_heat = np.array([channel.tag.measurement == "temperature" for channel in machines.channels])
        full = [machines.rated[channel.tag.measurement][channel.machine] for channel in machines.channels]
        self._scale = np.where(self._is_heat, 1.0, full)
        self._per_minute = np.array([60_000 / max(c.tag.sampling_interval_ms, 50) for c in machines.channels])

    def standing(self, moment: float) -> State:
        """All machines at rest and cold at `moment` (seconds since 1970)."""
        surroundings = self._surroundings(np.array([moment]))[0]
        zeros = np.zeros(self.machines.count)
        return State(zeros, zeros.copy(), surroundings)

    def advance(
        self,
        state: State,
        times: Floats,
        step_s: float,
        target: Floats,
        running: Floats,
        faults: Sequence[Fault],
        shocks: np.random.Generator,
        *,
        minute_means: bool = False,
    ) -> Floats:
        """Values at `times` (n, seconds since 1970, `step_s` apart) as (n, channels); moves `state` on.

        `target` (n, machines) is the load asked for as a share of full load, `running` (n, machines) is 1 where the
        machine is switched on. With `minute_means` the noise is that of a historian's minute average, not of a sample.
        """
        m = self.machines
        grown = severities(faults, times, m.count)
        wear, hot, block, slip = (grown[mode] for mode in ("bearing_wear", "cooling_loss", "blockage", "belt_slip"))

        asked = lag(target, state.load, np.exp(-step_s / m.tau_load_s))
        gate = lag(running, state.gate, np.full(m.count, np.exp(-step_s / _RUN_UP_S)))
        unsteady = 0.022 * self._load_noise.at(times) + 0.012 * self._load_waves.at(times)
        load = gate * np.clip(asked * (1 + unsteady), 0.0, 1.15)
        labour = 0.15 * gate + 0.85 * load
        heating = m.process_heat * gate + m.heat_rise * labour * (
            1 + 1.00 * hot + 0.16 * wear + 0.10 * slip + 0.15 * block
        )
        heat = lag(self._surroundings(times) + heating, state.heat, np.exp(-step_s / m.tau_heat_s))
        state.load, state.gate, state.heat = asked[-1], gate[-1], heat[-1]

        shake = 0.05 + 0.30 * gate + 0.65 * load**1.2
        physical = {
            "temperature": heat,
            "vibration": shake * (1 + 0.06 * block) + (1.35 * wear + 0.30 * slip) * (0.4 * gate + 0.6 * load),
            "throughput": load * (1 - 0.55 * block) * (1 - 0.30 * slip),
            "power": (0.18 * gate + 0.82 * load) * (1 + 0.24 * block + 0.03 * wear + 0.04 * slip),
            "current": (0.25 * gate + 0.75 * load) * (1 + 0.24 * block + 0.03 * wear + 0.04 * slip),
            "pressure": (0.02 + 0.33 * gate + 0.65 * load**2) * (1 + 0.45 * block),
            "speed": gate * (1 - 0.02 * load) * (1 - 0.22 * slip) * (1 - 0.06 * block),
            "voltage": 1 - 0.01 * load,
        }
        values = np.empty((len(times), len(m.channels)))
        for measurement in {channel.tag.measurement for channel in m.channels}:
            columns = m.channels_measuring(measurement)
            values[:, columns] = physical[measurement][:, self._machine_of[columns]]
        values *= m.channel_gain

        # A machine at rest neither shakes nor flows, so its sensors are quiet but never quite still.
        quiet = np.where(self._is_heat, 1.0, 0.1 + 0.9 * gate[:, self._machine_of])
        white = self._white / np.sqrt(self._per_minute if minute_means else 1.0)
        rough = 1 + 2.0 * wear[:, self._machine_of] * ~self._is_heat
        values += quiet * (
            self._slow * self._sensor_noise.at(times)
            + self._drift * self._sensor_waves.at(times)
            + white * rough * shocks.standard_normal(values.shape)
        )
        values *= self._scale
        np.abs(values, out=values)
        self._break_sensors(state, values, times, faults)
        # Controllers send 32-bit floats.
        return values.astype(np.float32).astype(np.float64)

    def _surroundings(self, times: Floats) -> Floats:
        """Air temperature as each machine feels it, °C, (n, machines): warmest in the afternoon."""
        day = np.sin(2 * np.pi * (times / DAY_S - 0.35))
        air = 3.0 * day[:, None] + 1.2 * self._weather.at(times)
        return 15.0 + air * self.machines.exposure

    def _break_sensors(self, state: State, values: Floats, times: Floats, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if fault.channel is None or not fault.touches(times[0], times[-1]):
                continue
            active = (times >= fault.starts) & (times < fault.ends)
            if not active.any():
                continue
            column = values[:, fault.channel]
            if fault.mode == "sensor_stuck":
                column[active] = state.held.setdefault(fault, float(column[active][0]))
            else:
                measurement = self.machines.channels[fault.channel].tag.measurement
                span = _DRIFT_SPAN.get(measurement, _ANY_DRIFT_SPAN) * self._scale[fault.channel]
                up = stream(self._seed, "drift", fault.channel, int(fault.starts)).random() < 0.5
                column += (span if up else -span) * fault.severity(times)
