"""What a tutorial does: asyncua's subscription with a handler, and executemany into a table every half second.

    python -m bench.tutorial PLANT NAMESPACE

The plant has one server, whose nodes are in the namespace of this index there. The table `tutorial` has (node text,
source_ts timestamptz, value double precision, status bigint). Runs until it is stopped.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import typer
from asyncua import Client
from psycopg import AsyncConnection

from bench.plant import node_ids
from ingest.plant import load_plant
from warehouse.roles import Role, conninfo
from warehouse.settings import Settings

_COMMIT_S: Final = 0.5
INSERT: Final = "INSERT INTO tutorial (node, source_ts, value, status) VALUES (%s, %s, %s, %s)"


class Handler:
    """Keeps what comes until it is committed."""

    def __init__(self) -> None:
        self.values: list[tuple[Any, ...]] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """Called by asyncua for each value."""
        told = data.monitored_item.Value
        self.values.append((node.nodeid.Identifier, told.SourceTimestamp, value, told.StatusCode.value))


async def collect(url: str, nodes: list[str], settings: Settings) -> None:
    """Subscribe to `nodes` (ns=…;…), and commit what came twice a second."""
    handler = Handler()
    async with Client(url) as client, await AsyncConnection.connect(conninfo(settings, Role.ADMIN)) as connection:
        subscription = await client.create_subscription(500, handler)
        await subscription.subscribe_data_change([client.get_node(node) for node in nodes])
        while True:
            await asyncio.sleep(_COMMIT_S)
            values, handler.values = handler.values, []
            if values:
                await connection.cursor().executemany(INSERT, values)
                await connection.commit()


def main(plant: Path, namespace: int) -> None:
    described = load_plant(plant)
    nodes = [f"ns={namespace};{node.partition(';')[2]}" for node in node_ids(described)]
    url = next(iter(described.servers.values())).url
    asyncio.run(collect(url, nodes, Settings()))


if __name__ == "__main__":
    typer.run(main)
