"""One server's way in: session → spool → writer. Nothing is acknowledged to the server before it is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog

from ingest.landing.gaps import Gap
from ingest.landing.notes import Loss, Note, is_note, note_from_bytes, note_to_bytes
from ingest.landing.servers import ServerTakenError
from ingest.landing.spool import Spool, SpoolFullError
from ingest.landing.trouble import diagnose
from ingest.landing.writer import Writer
from ingest.opcua.security import Pki
from ingest.opcua.session import Session
from ingest.opcua.subscribed import Subscribed
from ingest.plant import Plant
from ingest.readings import Readings, from_bytes, to_bytes, to_us
from ingest.watch import Watch
from warehouse.settings import Settings

# What comes in one publishing lands in one transaction; while that runs, the next one gathers.
LANDING_INTERVAL_S: Final = 0.02
METRICS_INTERVAL_S: Final = 5.0
# Some 28,000 rows a transaction: more are hardly faster, and what comes meanwhile waits longer.
BATCH_BYTES: Final = 1 << 20
_LONGEST_BACKOFF_S: Final = 5.0
# How soon a full disk is tried again.
_FULL_S: Final = 1.0
_TAKEN_S: Final = 60.0
# Together under the five seconds that a stop may take.
_CLOSE_S: Final = 2.0
_DRAIN_S: Final = 2.5


class Collector:
    """Collects one server of the plant until stopped."""

    def __init__(self, settings: Settings, plant: Plant, server: str, tag_ids: dict[tuple[str, str], int]) -> None:
        self.server = server
        self._log = structlog.get_logger("ingest").bind(server=server)
        self._spool = Spool(settings.var / "spool" / server, round(settings.spool_gb * 1e9))
        self._writer = Writer(settings, server, plant, tag_ids)
        subscribed = [
            Subscribed.of(tag_ids[server, tag.address], tag)
            for equipment in plant.equipment.values()
            if equipment.server == server
            for tag in equipment.tags
        ]
        self._tag_ids = [tag.tag_id for tag in subscribed]
        self.session = Session(
            server, plant.servers[server], subscribed, self, Pki(settings.var / "pki"), self._spool.folder
        )
        self.watch = Watch(server, plant.servers[server].url, self._spool, self.session)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"landing-{server}")
        self._waiting: deque[bytes] = deque()
        self._noted = asyncio.Event()
        self._appending = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._landed = self._spool.read_position
        self._troubled: str | None = None
        self._locked = False

    async def take(self, readings: Readings) -> None:
        """Put readings on disk; waits, rather than dropping anything, while the spool or the disk is full."""
        payload = to_bytes(readings)
        await self._append(payload)
        self.watch.metrics.received(len(readings), len(payload))

    def lost(
        self,
        cause: str,
        detail: str,
        heard: datetime | None,
        tag_ids: Sequence[int] | None = None,
        noted: datetime | None = None,
    ) -> str:
        """Note a loss behind everything that has been taken so far; returns its id."""
        loss = Loss(
            cause,
            detail,
            to_us(noted or datetime.now(UTC)),
            None if heard is None else to_us(heard),
            None if tag_ids is None else list(tag_ids),
        )
        self.watch.lost(cause, heard if tag_ids is None else None)
        self.note(loss)
        return loss.loss_id

    def note(self, note: Note) -> None:
        """Put a note behind everything that has been taken so far, on disk before anything that is taken later."""
        self._waiting.append(note_to_bytes(note))
        self._noted.set()

    async def gaps(self, most: int) -> list[Gap]:
        """Gaps that the server's history is to be asked about, when all that was taken before has landed."""
        taken = self._spool.end
        while self._landed < taken or self._waiting:
            await asyncio.sleep(0.1)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._writer.gaps, datetime.now(UTC), most
            )
        except psycopg.Error:
            return []  # the landing tells about it, and waits for it

    async def _append(self, payload: bytes | None = None) -> None:
        """Return when `payload`, and all that was noted or taken before it, is on disk, in that order."""
        if payload is not None:
            self._waiting.append(payload)
        told = False
        try:
            async with self._appending:
                while self._waiting:
                    try:
                        self._spool.append(self._waiting[0])
                        self._waiting.popleft()
                    except (SpoolFullError, OSError) as error:
                        told = await self._wait_for_room(error, told)
        except asyncio.CancelledError:
            # The connection is gone: what isn't acknowledged is had again by the next one.
            if payload is not None and payload in self._waiting:
                self._waiting.remove(payload)
            raise
        while True:
            try:
                await self._spool.sync()
                break
            except OSError as error:
                told = await self._wait_for_room(error, told)
        self._arrived.set()

    async def _wait_for_room(self, error: Exception, told: bool) -> bool:
        if not told:
            self._log.error("spool_refuses", reason=str(error), policy="values wait on the server until there is room")
        await asyncio.sleep(_FULL_S)
        return True

    async def _keep_notes(self) -> None:
        """Put notes on disk that no readings follow."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await self._append()

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop`, then drain for a few seconds; what is left stays in the spool for the next start.

        Raises ServerTakenError where another worker has the server.
        """
        drained = asyncio.Event()
        landing = asyncio.create_task(self._land_until(drained))
        noting = asyncio.create_task(self._keep_notes())
        collecting = asyncio.create_task(self.session.run(stop))
        try:
            # The landing ends first only by an error that no waiting mends.
            await asyncio.wait({landing, collecting, noting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            await _within(_CLOSE_S, collecting)
            noting.cancel()
            self.watch.stop()
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

    def discard(self) -> None:
        """Let go of the spool of a collector that has not run."""
        self._thread.shutdown(wait=False)
        self._spool.close()

    async def _land_until(self, drained: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        backoff = 0.1
        taken: float | None = None
        measured = time.monotonic()
        while True:
            try:
                landed = await loop.run_in_executor(self._thread, self._step)
                backoff, taken = 0.1, None
                if self._troubled is not None:
                    self._log.info("landing_resumed", pending_bytes=self._spool.pending_bytes)
                    self._troubled = None
                self.watch.trouble = None
            except ServerTakenError:
                # The lock of our own lost connection lives on until Postgres notices that it is lost.
                taken = time.monotonic() if taken is None else taken
                if not self._locked or time.monotonic() - taken > _TAKEN_S:
                    raise
                self.watch.trouble = "another connection has the server; if it is our own lost one, it ends soon"
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
                await asyncio.wait_for(self._arrived.wait(), self._writer.until_tick(datetime.now(UTC)))
                await asyncio.sleep(LANDING_INTERVAL_S)
            except TimeoutError:
                continue

    def _tell(self, error: psycopg.Error) -> None:
        """One line when landing stops, by class of error, and one when it goes on."""
        found = diagnose(error)
        self.watch.trouble = f"Postgres takes nothing: {found.kind}"
        if found.kind == self._troubled:
            return
        self._troubled = found.kind
        self._log.error(
            "landing_fails",
            trouble=found.trouble.value,
            kind=found.kind,
            reason=found.reason,
            advice=f"{found.advice}; readings are kept in the spool",
        )

    def _step(self) -> bool:
        """Land what there is, in the landing thread; returns whether there was anything."""
        self.watch.confirm(self._writer.connect(), datetime.now(UTC))
        self._locked = True
        payloads = self._spool.read(BATCH_BYTES)
        batches: list[Readings] = []
        for payload in payloads:
            try:
                if not is_note(payload):
                    batches.append(from_bytes(payload))
                    continue
                note = note_from_bytes(payload)
            except ValueError as error:
                self._log.error("spool_record_unreadable", reason=str(error), bytes=len(payload))
                # Any later reading ends it.
                note = Loss("undecodable", "a record of the spool can't be read", 0, None, self._tag_ids)
            # What was taken before a note lands before it counts, and what was taken after it later.
            self._land(batches)
            batches = []
            self._writer.note(note)
        self._land(batches)
        self._spool.trim()
        self._landed = self._spool.read_position
        if not payloads:
            # Everything has landed: what timers and a late spool have left to do is done now.
            self._writer.tick(datetime.now(UTC))
        return bool(payloads)

    def _land(self, batches: list[Readings]) -> None:
        if batches:
            moment = datetime.now(UTC)
            self.watch.metrics.landed(self._writer.land(batches, moment), to_us(datetime.now(UTC)))

    def _measure(self, seconds: float) -> None:
        try:
            self._writer.record_metrics(self.watch.take(seconds))
        except psycopg.Error as error:
            # Metrics are never worth a reading: the landing goes on.
            self._log.warning("metrics_not_recorded", reason=str(error).strip().splitlines()[0])


async def _within(seconds: float, task: asyncio.Task[None]) -> None:
    """Let the task end, or end it after `seconds`; raises what it raises."""
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
