"""A made-up plant for the benchmarks: machines of four tags each, with the default limits, and what their tags say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ingest.limits import Limits
from ingest.plant import Equipment, Plant, Server, Tag
from ingest.readings import NUMBER, Readings, empty_rows, to_us

SERVER = "bench"
NAMESPACE = "urn:millwright:bench"
# measurement, unit, ordinary value
MEASURED = (
    ("temperature", "°C", 60.0),
    ("vibration", "mm/s", 2.0),
    ("pressure", "bar", 6.0),
    ("power", "kW", 40.0),
)
LIMITS = {
    "temperature": Limits.model_validate({"high": {"warning": 80, "critical": 85, "emergency": 90}}),
    "vibration": Limits.model_validate({"high": {"warning": 3.5, "critical": 4.0, "emergency": 5.0}}),
}


def made_up_plant(tags: int, url: str = "opc.tcp://127.0.0.1:4840", **server: int) -> Plant:
    """A plant of `tags` tags of one server; `server` are further keys of its section."""
    machines: dict[str, Equipment] = {}
    for first in range(0, tags, len(MEASURED)):
        number = first // len(MEASURED)
        machines[f"M{number:04d}"] = Equipment(
            name=f"Machine {number}",
            type="pump",
            server=SERVER,
            tags=[
                Tag(
                    node=f"nsu={NAMESPACE};s=M{number:04d}.{measurement}",
                    measurement=measurement,
                    unit=unit,
                    sampling_interval_ms=100,
                )
                for measurement, unit, _ in MEASURED[: tags - first]
            ],
        )
    return Plant(
        plant_id="bench",
        name="Benchmark",
        timezone="UTC",
        servers={SERVER: Server.model_validate({"url": url, **server})},
        equipment=machines,
        limits=LIMITS,
    )


def node_ids(plant: Plant) -> list[str]:
    """The nodes of the plant's tags, in the order of the file."""
    return [tag.node for equipment in plant.equipment.values() for tag in equipment.tags]


def notifications(
    tag_ids: NDArray[np.int32], begin: datetime, count: int, interval_us: int, seed: int = 0
) -> Iterator[Readings]:
    """`count` notifications of one value a tag, `interval_us` apart, as a subscription would bring them.

    `tag_ids` are in the order of the plant file. Values are noise about each measurement's ordinary value; in every
    fiftieth notification one machine's temperature is critical, so that limits have work to do.
    """
    chance = np.random.default_rng(seed)
    ordinary = np.resize([value for _, _, value in MEASURED], len(tag_ids))
    hot = np.flatnonzero(ordinary == MEASURED[0][2])
    for number in range(count):
        received = to_us(begin) + number * interval_us
        rows = empty_rows(len(tag_ids))
        rows["tag_id"] = tag_ids
        # Samples are not all of one instant: spread over the interval before the publishing.
        rows["source_ts"] = received - chance.integers(0, interval_us, len(tag_ids))
        rows["server_ts"] = rows["source_ts"]
        rows["kind"] = NUMBER
        rows["value"] = ordinary * (1 + 0.02 * chance.standard_normal(len(tag_ids)))
        if number % 50 == 25:
            rows["value"][hot[(number // 50) % len(hot)]] = 87.0
        yield Readings(rows, [], received, to_us(begin) - interval_us)
