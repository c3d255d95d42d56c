"""What happened to the plant in the days of a history: faults, how each ended, and the stops that came with them.

Nothing of this reaches the tags but through the physics; the maintainers' view of it is in `enterprise`.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.faults import SENSOR, Fault, make_fault, modes_of
from simulator.machines import Floats, Machines, stream
from simulator.schedule import MAINTENANCE, STOPPED, Quiet, Schedule, Slot, Stop

HOUR = 3600.0
DAY = 24 * HOUR
_CALM_END = 30 * HOUR  # no fault grows this close to the end, so that none is left in the last day
_NO_STOPS_END = 6 * HOUR  # machines run when history hands over to the live plant
_FIRST_FAULT = 36 * HOUR


@dataclass(frozen=True)
class Episode:
    """One fault from its first trace to its repair; times in seconds since 1970."""

    fault: Fault
    caught: bool  # by a work order before the machine failed
    noticed: float  # work order opened: at the catch, or at the failure
    repair_starts: float
    repaired: float


@dataclass(frozen=True)
class Past:
    """A stretch of history: what was planned and what broke."""

    first: float
    until: float
    slots: list[Slot]
    planned: list[Stop]
    episodes: list[Episode]

    @property
    def faults(self) -> list[Fault]:
        return [episode.fault for episode in self.episodes]

    @property
    def stops(self) -> list[Stop]:
        """Planned stops and those that faults brought; a failed machine stands before anyone works on it."""
        found = list(self.planned)
        for episode in self.episodes:
            if episode.fault.mode in SENSOR:
                continue  # a sensor is changed while the machine runs
            machine = episode.fault.machine
            if not episode.caught:
                found.append(Stop(machine, STOPPED, episode.noticed, episode.repair_starts))
            found.append(Stop(machine, MAINTENANCE, episode.repair_starts, episode.repaired))
        return found


def make_past(machines: Machines, schedule: Schedule, seed: int, first: float, until: float) -> Past:
    """The past of all machines in [first, until): about three faults a machine in 90 days, every mode among them."""
    episodes = _episodes(machines, seed, first, until)
    quiet = [Quiet(e.fault.starts - 3 * HOUR, e.repaired + 3 * HOUR, e.fault.machine) for e in episodes]
    quiet.append(Quiet(until - _NO_STOPS_END, until + DAY))
    return Past(first, until, schedule.slots(first, until), schedule.planned_stops(first, until, quiet), episodes)


def _episodes(machines: Machines, seed: int, first: float, until: float) -> list[Episode]:
    begin, end = first + _FIRST_FAULT, until - _CALM_END
    found: list[Episode] = []
    used: dict[str, int] = {}
    for machine, equipment_id in enumerate(machines.ids):
        own = stream(seed, "past", equipment_id)
        count = round(int(own.integers(3, 5)) * (until - first) / (90 * DAY))
        if count < 1 or end <= begin:
            continue
        # One fault a stretch of its own, so that two never overlap and there are healthy weeks in between.
        stretch = (end - begin) / count
        possible = modes_of(machines, machine)
        for index in range(count):
            mode = min(own.permutation(possible), key=lambda name: used.get(name, 0))
            used[mode] = used.get(mode, 0) + 1
            growth = min(_growth(own.random(), own.random(), mode), 0.5 * stretch)
            latest = max(stretch - growth - 24 * HOUR, 0.05 * stretch)  # a day for noticing and repair
            starts = begin + stretch * index + own.uniform(0.0, latest)
            episode = _ending(make_fault(machines, seed, equipment_id, mode, starts, growth), own.random(4))
            if episode.repaired < begin + stretch * (index + 1) and episode.repaired < until - DAY:
                found.append(episode)
    return sorted(found, key=lambda episode: episode.fault.starts)


def _growth(kind: float, place: float, mode: str) -> float:
    """Seconds from the first trace to failure: some within the hour, most over hours, a quarter over days."""
    if mode == "sensor_stuck":
        return 60.0  # stuck at once
    if kind < 0.33 and mode != "sensor_drift":
        return (20 + 35 * place) * 60
    if kind < 0.75:
        return (2 + 10 * place) * HOUR
    return (1 + 2.5 * place) * DAY


def _ending(fault: Fault, chance: Floats) -> Episode:
    """Caught by someone or not, then repaired. `chance` holds four numbers of [0, 1)."""
    growth = fault.full - fault.starts
    if fault.mode in SENSOR:
        # Nobody hurries for a sensor: it is changed hours after it has gone wrong.
        noticed = fault.full + (1 + 7 * chance[0]) * HOUR
        repair_starts = noticed + (0.5 + 2 * chance[1]) * HOUR
        repaired = repair_starts + (0.3 + 0.7 * chance[2]) * HOUR
        return Episode(_until(fault, repaired), False, noticed, repair_starts, repaired)
    caught = chance[0] < (0.3 if growth < HOUR else 0.55)
    if caught:
        noticed = fault.grown_to(0.5 + 0.4 * chance[1])
        repair_starts = min(noticed + (8 + 25 * chance[2]) * 60, fault.full - 60)
    else:
        noticed = fault.full
        repair_starts = noticed + (20 + 40 * chance[2]) * 60
    repaired = repair_starts + ((2 + 3 * chance[3]) if caught else (4 + 6 * chance[3])) * HOUR
    # The trace ends when the machine stands: nothing is measured of a bearing that doesn't turn.
    return Episode(_until(fault, repair_starts), caught, noticed, repair_starts, repaired)


def _until(fault: Fault, ends: float) -> Fault:
    return Fault(fault.machine, fault.mode, fault.starts, fault.full, ends, fault.channel)
