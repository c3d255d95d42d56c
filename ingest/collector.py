"""One server's way in: session → spool → writer. Nothing is acknowledged to the server before it is on disk."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import psycopg
import structlog

from ingest.plant import Plant
from ingest.readings import Readings, from_bytes, to_bytes, to_us
from ingest.security import Pki
from ingest.session import Session
from ingest.spool import Position, Spool, SpoolFullError
from ingest.subscribed import Subscribed
from ingest.writer import Landed, ServerTakenError, Writer
from warehouse.settings import Settings

LANDING_INTERVAL_S: Final = 0.1
METRICS_INTERVAL_S: Final = 5.0
_BATCH_BYTES: Final = 4 << 20
_LONGEST_BACKOFF_S: Final = 5.0
_DRAIN_S: Final = 4.0
_SPOOL_BYTES: Final = 4 << 30


@dataclass(frozen=True)
class _Lost:
    """Values may be missing after `at`; `heard` is None for what an earlier worker left."""

    at: Position
    cause: str
    detail: str
    heard: datetime | None


class Collector:
    """Collects one server of the plant until stopped."""

    def __init__(self, settings: Settings, plant: Plant, server: str, tag_ids: dict[tuple[str, str], int]) -> None:
        self.server = server
        self._log = structlog.get_logger("ingest").bind(server=server)
        self._spool = Spool(settings.var / "spool" / server, _SPOOL_BYTES)
        self._writer = Writer(settings, server, plant, tag_ids)
        subscribed = [
            Subscribed.of(tag_ids[server, tag.address], tag)
            for equipment in plant.equipment.values()
            if equipment.server == server
            for tag in equipment.tags
        ]
        self.session = Session(server, plant.servers[server], subscribed, self, Pki(settings.var / "pki"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"landing-{server}")
        # What an earlier worker spooled lands first; the gap since then begins behind it.
        self._lost = deque([_Lost(self._spool.end, "outage", "the worker was not running", None)])
        self._arrived = asyncio.Event()
        self._metrics = _Metrics()
        self._troubled: str | None = None
        self._locked = False

    async def take(self, readings: Readings) -> None:
        """Put readings on disk; waits, rather than dropping anything, while the spool or the disk is full."""
        payload = to_bytes(readings)
        told = False
        while True:
            try:
                self._spool.append(payload)
                await self._spool.sync()
                break
            except (SpoolFullError, OSError) as error:
                if not told:
                    self._log.error(
                        "spool_refuses", reason=str(error), policy="values wait on the server until there is room"
                    )
                    told = True
                await asyncio.sleep(1.0)
        self._arrived.set()

    def lost(self, cause: str, detail: str, heard: datetime) -> None:
        """Note a loss behind everything that has been spooled so far."""
        self._lost.append(_Lost(self._spool.end, cause, detail, heard))
        self._arrived.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop`, then drain for a few seconds; what is left stays in the spool for the next start.

        Raises ServerTakenError where another worker has the server.
        """
        drained = asyncio.Event()
        landing = asyncio.create_task(self._land_until(drained))
        collecting = asyncio.create_task(self.session.run(stop))
        try:
            # The landing ends first only by an error that no waiting mends.
            await asyncio.wait({landing, collecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            await collecting
            drained.set()
            self._arrived.set()
            try:
                await asyncio.wait_for(asyncio.shield(landing), _DRAIN_S)
            except TimeoutError:
                self._log.warning("not_drained", bytes=self._spool.pending_bytes, kept_in=str(self._spool.folder))
                landing.cancel()
            finally:
                self._thread.shutdown(wait=False, cancel_futures=True)
                self._writer.close()
                self._spool.close()

    async def _land_until(self, drained: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        backoff = 0.1
        measured = time.monotonic()
        while True:
            try:
                landed = await loop.run_in_executor(self._thread, self._step)
                backoff = 0.1
                if self._troubled is not None:
                    self._log.info("landing_resumed", pending_bytes=self._spool.pending_bytes)
                    self._troubled = None
            except ServerTakenError:
                # After a restart of Postgres the lock of our own lost connection may live on for a moment.
                if not self._locked or backoff >= _LONGEST_BACKOFF_S:
                    raise
                landed, backoff = False, min(backoff * 2, _LONGEST_BACKOFF_S)
                await asyncio.sleep(backoff)
            except psycopg.Error as error:
                self._spool.rewind()
                self._tell(error)
                if drained.is_set():
                    return
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _LONGEST_BACKOFF_S)
                continue
            if time.monotonic() - measured >= METRICS_INTERVAL_S:
                await loop.run_in_executor(self._thread, self._measure, time.monotonic() - measured)
                measured = time.monotonic()
            if landed:
                continue
            if drained.is_set():
                return
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), 1.0)
                await asyncio.sleep(LANDING_INTERVAL_S)  # what comes in one publishing lands in one transaction
            except TimeoutError:
                continue

    def _tell(self, error: psycopg.Error) -> None:
        """One line when landing stops, by class of error, and one when it goes on."""
        kind = type(error).__name__
        if kind == self._troubled:
            return
        self._troubled = kind
        advice = "retrying; readings are kept in the spool"
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            advice = "grant it: `python -m warehouse migrate` restores the grants; " + advice
        message = str(error).strip().splitlines()
        self._log.error("landing_fails", kind=kind, reason=message[0] if message else kind, advice=advice)

    def _step(self) -> bool:
        """Land what there is, in the landing thread; returns whether there was anything."""
        self._writer.connect()
        self._locked = True
        until = self._lost[0].at if self._lost else None
        payloads = self._spool.read(_BATCH_BYTES, until)
        if payloads:
            batches = []
            for payload in payloads:
                try:
                    batches.append(from_bytes(payload))
                except ValueError as error:
                    self._log.error("spool_record_unreadable", reason=str(error), bytes=len(payload))
            if batches:
                moment = datetime.now(UTC)
                self._metrics.add(self._writer.land(batches, moment), to_us(datetime.now(UTC)))
            self._spool.trim()
            return True
        if self._lost and self._spool.read_position >= self._lost[0].at:
            lost = self._lost[0]
            if lost.heard is None:
                self._writer.resume(lost.cause, lost.detail)
            else:
                self._writer.lost(lost.cause, lost.detail, lost.heard)
            self._lost.popleft()
            return True
        return False

    def _measure(self, seconds: float) -> None:
        metrics = self._metrics.take(seconds)
        metrics["spool_bytes"] = float(self._spool.pending_bytes)
        metrics["reconnects"] = float(self.session.reconnects)
        metrics["connected_tags"] = float(self.session.connected_tags)
        if self.session.clock_skew_s is not None:
            metrics["clock_skew_s"] = self.session.clock_skew_s
        try:
            self._writer.record_metrics(metrics)
        except psycopg.Error as error:
            # Metrics are never worth a reading: the landing goes on.
            self._log.warning("metrics_not_recorded", reason=str(error).strip().splitlines()[0])


class _Metrics:
    """Counts of the landings since the last take; used from the landing thread."""

    def __init__(self) -> None:
        self._rows = self._rejected = self._overflows = 0
        self._lags: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []

    def add(self, landed: Landed, now_us: int) -> None:
        self._rows += landed.rows
        self._rejected += landed.rejected
        self._overflows += landed.overflows
        if len(landed.current_us):
            self._lags.append((now_us - landed.current_us) / 1000.0)

    def take(self, seconds: float) -> dict[str, float]:
        metrics = {
            "values_per_s": self._rows / seconds,
            "rejected": float(self._rejected),
            "overflows": float(self._overflows),
        }
        if self._lags:
            metrics["lag_ms_p50"], metrics["lag_ms_p99"] = np.percentile(np.concatenate(self._lags), [50, 99]).tolist()
        self._rows = self._rejected = self._overflows = 0
        self._lags = []
        return metrics
