"""An OPC UA server whose values change at a given rate, each with the moment of its change as source time.

python -m bench.changing PLANT PORT --rate 5000
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from datetime import UTC, datetime
from pathlib import Path

import typer
from asyncua import ua

from bench.plant import MEASURED
from ingest.plant import Plant, load_plant
from simulator.endpoint import Endpoint, endpoint

TICK_S = 0.005
LARGEST_BURST_S, LONGEST_BEHIND_S = 0.02, 0.2
# How often a tag passes its critical limit, each time another: a second alert of one tag within minutes is no news.
# Which one it is follows the clock, so that a server that is started anew goes on with the next.
CRITICAL_EVERY_S = 0.5
CRITICAL = {"temperature": 87.0, "vibration": 4.5}


async def serve(plant: Plant, port: int, rate: float) -> None:
    """Change `rate` values a second, the tags in turn, until cancelled."""
    nodes: dict[str, ua.NodeId] = {}

    async def build(made: Endpoint) -> None:
        nodes.update(await made.add_plant(plant))
        for node in nodes.values():
            await made.put(node, 0.0, *2 * (datetime.now(UTC),))

    async with endpoint("127.0.0.1", port, "Benchmark", build) as made:
        await change(made, list(nodes.values()), rate)


async def change(made: Endpoint, nodes: list[ua.NodeId], rate: float) -> None:
    """Change what is due by the clock at every tick, in bursts that leave the server time to answer.

    A machine that is too slow for the rate changes fewer values; how many landed says so.
    """
    turn = itertools.cycle(range(len(nodes)))
    values = [value for _, _, value in MEASURED]
    limited = [place for place in range(len(nodes)) if MEASURED[place % len(MEASURED)][0] in CRITICAL]
    at = time.monotonic()
    changed, crossed = 0, int(time.time() / CRITICAL_EVERY_S)
    while True:
        now = time.monotonic()
        at = max(at, now - LONGEST_BEHIND_S)
        burst = min(int((now - at) * rate), int(LARGEST_BURST_S * rate))
        for _ in range(burst):
            place = next(turn)
            await _put(made, nodes[place], values[place % len(values)] * (1 + 0.02 * math.sin(changed)))
            changed += 1
        if int(time.time() / CRITICAL_EVERY_S) > crossed:
            crossed += 1
            place = limited[crossed % len(limited)]
            await _put(made, nodes[place], CRITICAL[MEASURED[place % len(values)][0]])
        at += burst / rate
        await asyncio.sleep(TICK_S)


async def _put(made: Endpoint, node: ua.NodeId, value: float) -> None:
    moment = datetime.now(UTC)
    await made.put(node, value, moment, moment)


def main(plant: Path, port: int, rate: float = 5_000) -> None:
    asyncio.run(serve(load_plant(plant), port, rate))


if __name__ == "__main__":
    typer.run(main)
