"""The process that collects: a collector a server, one log, one way to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import structlog

from ingest.collector import Collector
from ingest.errors import IngestError
from ingest.plant import Plant
from ingest.tags import SyncResult, sync_plant
from warehouse.settings import Settings


def run(settings: Settings, plant: Plant, servers: Sequence[str] | None = None) -> int:
    """Collect from `servers` of the plant (all of them by default) until SIGTERM or SIGINT; returns the exit code.

    Raises IngestError where a server is unknown or taken by another worker.
    """
    chosen = list(servers or plant.servers)
    if unknown := [name for name in chosen if name not in plant.servers]:
        raise IngestError(f"--server must be one of {', '.join(plant.servers)}. Got: {unknown[0]!r}")
    _configure_log()
    asyncio.run(collect(settings, plant, chosen))
    return 0


async def collect(settings: Settings, plant: Plant, servers: Sequence[str], stop: asyncio.Event | None = None) -> None:
    """Sync the plant file, then collect until `stop` is set or a signal comes."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    log = structlog.get_logger("ingest")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        synced = await _sync(settings, plant, stop)
        if synced is None:
            return
        log.info("started", servers=list(servers), tags=str(synced))
        collectors = [Collector(settings, plant, server, synced.tag_ids) for server in servers]
        outcomes = await asyncio.gather(*(c.run(stop) for c in collectors), return_exceptions=True)
        log.info("stopped")
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _sync(settings: Settings, plant: Plant, stop: asyncio.Event) -> SyncResult | None:
    """Sync as soon as Postgres is there; None when stopped before that."""
    log = structlog.get_logger("ingest")
    told = False
    while not stop.is_set():
        try:
            return await asyncio.to_thread(sync_plant, settings, plant, datetime.now(UTC))
        except psycopg.OperationalError as error:
            if not told:
                log.warning("waiting_for_postgres", reason=str(error).strip().splitlines()[0])
                told = True
            await asyncio.sleep(1.0)
    return None


def _configure_log() -> None:
    # The client library logs the same trouble every second in tracebacks; the session tells it once.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
