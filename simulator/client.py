"""Calls to a running demo plant: break a machine, repair it."""

from __future__ import annotations

import logging

from asyncua import Client, ua

from simulator.errors import SimulatorError
from simulator.server import CONTROL


async def call(url: str, method: str, *arguments: ua.Variant) -> str:
    """Call `Inject` or `Repair` of the plant at `url`; returns what it says.

    Raises SimulatorError where no demo plant answers there or it refuses.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    client = Client(url, timeout=5)
    try:
        async with client:
            index = await client.get_namespace_index(CONTROL)
            control = client.get_node(ua.NodeId("Simulator", index))
            done, message = await control.call_method(ua.NodeId(f"Simulator.{method}", index), *arguments)
    except (OSError, TimeoutError) as error:
        raise SimulatorError(
            f"no demo plant answers at {url}; start it with `python -m simulator serve` or name its --port"
        ) from error
    except ValueError as error:
        raise SimulatorError(f"the server at {url} is no demo plant: it has no namespace {CONTROL}") from error
    except ua.UaError as error:
        raise SimulatorError(f"the server at {url} refuses: {error}") from error
    if not done:
        raise SimulatorError(str(message))
    return str(message)
