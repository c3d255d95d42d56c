"""The process that collects: a collector a server, one log, one page to look at, one way to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
import structlog

from ingest import log as logs
from ingest.collector import Collector
from ingest.errors import IngestError
from ingest.health import Health, Page
from ingest.landing.servers import require_unclaimed
from ingest.opcua.security import Pki
from ingest.plant import Plant
from ingest.remembered import recall, remember
from ingest.tags import SyncResult, sync_plant
from warehouse.settings import Settings

# A stop may take five seconds; what then has not landed is safe in the spool.
_LONGEST_STOP_S: Final = 4.8
_OBSERVED_EVERY_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


def run(settings: Settings, plant: Plant, servers: Sequence[str] | None = None) -> int:
    """Collect from `servers` of the plant (all of them by default) until SIGTERM or SIGINT; returns the exit code.

    Raises IngestError where a server is unknown or taken by another worker, or the page's port is taken.
    """
    chosen = list(dict.fromkeys(servers or plant.servers))
    if unknown := [name for name in chosen if name not in plant.servers]:
        raise IngestError(f"--server must be one of {', '.join(plant.servers)}. Got: {unknown[0]!r}")
    logs.configure(settings.log_format)
    Pki(settings.var / "pki").make(datetime.now(UTC))
    health = Health()
    with Page(health, settings.bind, settings.metrics_port) as page:
        structlog.get_logger("ingest").info("page", address=f"http://{settings.bind}:{page.port}/metrics")
        asyncio.run(collect(settings, plant, chosen, health=health, on_signal=_leave_soon))
    return 0


async def collect(
    settings: Settings,
    plant: Plant,
    servers: Sequence[str],
    stop: asyncio.Event | None = None,
    *,
    health: Health | None = None,
    on_signal: Callable[[], None] | None = None,
) -> None:
    """Sync the plant file, then collect until `stop` is set or a signal comes, which also calls `on_signal`."""
    stop = stop or asyncio.Event()
    health = health or Health()
    loop = asyncio.get_running_loop()
    log = structlog.get_logger("ingest")

    def signalled() -> None:
        if not stop.is_set() and on_signal is not None:
            on_signal()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    watching = asyncio.create_task(_watch(health))
    try:
        synced = await _sync(settings, plant, stop, health)
        if synced is None:
            return
        collectors = await _collectors(settings, plant, servers, synced)
        health.watch(collector.watch for collector in collectors)
        log.info("started", servers=list(servers), tags=str(synced))

        def again(server: str) -> Collector:
            collector = Collector(settings, plant, server, synced.tag_ids)
            health.replace(collector.watch)
            return collector

        keeping = [keep(collector, stop, again) for collector in collectors]
        outcomes = await asyncio.gather(*keeping, return_exceptions=True)
        log.info("stopped")
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
    finally:
        watching.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _collectors(settings: Settings, plant: Plant, servers: Sequence[str], synced: SyncResult) -> list[Collector]:
    """One for each server, or none at all where one is taken: half of what was asked for would go unnoticed."""
    made: list[Collector] = []
    with ExitStack() as undo:
        for server in servers:
            made.append(Collector(settings, plant, server, synced.tag_ids))
            undo.callback(made[-1].discard)
        await asyncio.to_thread(require_unclaimed, settings, servers)
        undo.pop_all()
    return made


async def keep(
    collector: Collector, stop: asyncio.Event, again: Callable[[str], Collector], first_pause_s: float = _FIRST_PAUSE_S
) -> None:
    """Run a collector until `stop`; one that fails by a mistake of ours begins `again`, and stops no other meanwhile.

    Raises IngestError for what no beginning again mends, such as a server that another worker has taken over.
    """
    log = structlog.get_logger("ingest").bind(server=collector.server)
    pause_s = first_pause_s
    while True:
        own = asyncio.Event()
        passing = asyncio.create_task(_pass_on(stop, own))
        began = time.monotonic()
        try:
            return await collector.run(own)
        except IngestError as error:
            log.error("server_given_up", reason=str(error))
            raise
        except Exception as error:
            if time.monotonic() - began > 2 * _LONGEST_PAUSE_S:
                pause_s = first_pause_s
            log.error("collector_failed", error=repr(error), at=_place(error), again_in_s=pause_s)
        finally:
            passing.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
        if stop.is_set():
            return None
        pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        collector = again(collector.server)


async def _pass_on(stop: asyncio.Event, own: asyncio.Event) -> None:
    await stop.wait()
    own.set()


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


async def _watch(health: Health) -> None:
    observed = -_OBSERVED_EVERY_S
    while True:
        health.beat()
        if time.monotonic() - observed >= _OBSERVED_EVERY_S:
            observed = time.monotonic()
            health.observe(observed)
        await asyncio.sleep(1.0)


async def _sync(settings: Settings, plant: Plant, stop: asyncio.Event, health: Health) -> SyncResult | None:
    """Sync as soon as Postgres is there; None when stopped before that.

    While it is away the ids of the last sync do, where the plant file is still the same: readings go to the spool.
    """
    log = structlog.get_logger("ingest")
    told = False
    health.wait_for("Postgres")
    while not stop.is_set():
        try:
            synced = await asyncio.to_thread(sync_plant, settings, plant, datetime.now(UTC))
            remember(settings.var / "spool", plant, synced.tag_ids)
            return synced
        except psycopg.OperationalError as error:
            if (tag_ids := recall(settings.var / "spool", plant)) is not None:
                reason = str(error).strip().splitlines()[0]
                log.warning("collecting_without_postgres", reason=reason, policy="readings are kept in the spool")
                return SyncResult(0, 0, 0, len(tag_ids), tag_ids)
            if not told:
                log.warning("waiting_for_postgres", reason=str(error).strip().splitlines()[0])
                told = True
            await asyncio.sleep(1.0)
    return None


def _leave_soon() -> None:
    """End the process in time whatever hangs: a Postgres that doesn't answer, a server that won't close."""

    def leave() -> None:
        structlog.get_logger("ingest").warning("left_before_drained", kept="what has not landed is in the spool")
        sys.stderr.flush()
        os._exit(0)

    timer = threading.Timer(_LONGEST_STOP_S, leave)
    timer.daemon = True
    timer.start()
