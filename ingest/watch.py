"""One server's collector as it is seen from outside: counts, the spool's room, the server's standing and clock."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from typing import Final, Protocol

import psycopg
import structlog

from ingest.landing.room import Room
from ingest.landing.servers import Clock, Row, Standing
from ingest.landing.spool import Spool
from ingest.metrics import Metrics, Sample

# Beyond this a server's timestamps don't fit those of others.
_SKEW_TOLD_S: Final = 2.0
# A landing is a second's work; the loop begins one at least every five.
_STEP_S: Final = 20.0
_TROUBLES: Final = {
    "rejected": "`python -m ingest rejected list` says which and why",
    "overflows": "the server drops values unfetched: raise queue_size or sampling_interval_ms in plant.yml",
}


class Link(Protocol):
    """What is watched of a session."""

    @property
    def connected_tags(self) -> int: ...
    @property
    def missing(self) -> int: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def clock_skew_s(self) -> float | None: ...
    @property
    def reason(self) -> str | None: ...


class Watch:
    """Watches the collector of `server`. Counts come from its threads, `observe` from the worker every few seconds."""

    def __init__(self, server: str, url: str, spool: Spool, link: Link) -> None:
        self.metrics = Metrics(server)
        self.trouble: str | None = "nothing has landed yet"
        """why Postgres takes nothing; None while it does"""
        self._log = structlog.get_logger("ingest").bind(server=server)
        self._spool = spool
        self._link = link
        self._room = Room(spool.folder, spool.limit_bytes)
        self._clock = Clock()
        self._row = Row(server, url)
        self._heard: datetime | None = None
        self._stopped = False
        self._skew_told = False
        self._told: set[str] = set()
        self._stepped_s = time.monotonic()

    def lost(self, cause: str, heard: datetime | None) -> None:
        """A loss that goes into the ledger; that of a connection says when the server was heard last, by its clock."""
        self.metrics.lost(cause)
        if cause == "outage" and heard is not None:
            self._heard = heard - timedelta(seconds=self._link.clock_skew_s or 0.0)

    def stop(self) -> None:
        """The collector ends: whatever its link says, the server is not collected any more."""
        self._stopped = True

    def sample(self) -> Sample:
        """How the collector stands now."""
        return Sample(
            connected=self._connected,
            tags=self._link.connected_tags,
            missing=self._link.missing,
            reconnects=self._link.reconnects,
            clock_skew_s=self._clock.skew_s,
            spool_bytes=self._spool.pending_bytes,
            spool_limit_bytes=self._spool.limit_bytes,
            hours_left=self._room.hours_left,
            landing=self._held_up is None,
            trouble=self._held_up or (None if self._connected else f"not connected: {self._reason}"),
        )

    @property
    def _held_up(self) -> str | None:
        silent = time.monotonic() - self._stepped_s
        if self.trouble is None and silent > _STEP_S:
            return f"Postgres takes nothing: a landing has not ended for {silent:.0f} s"
        return self.trouble

    @property
    def _connected(self) -> bool:
        return self._link.connected_tags > 0 and not self._stopped

    @property
    def _reason(self) -> str | None:
        if self._connected:
            return None
        return "the worker was stopped" if self._stopped else self._link.reason or "not connected yet"

    def observe(self, now_s: float) -> None:
        """Look at the spool and the clock at `now_s` (monotonic), and say once what needs someone."""
        if self._connected:
            self._clock.note(self._link.clock_skew_s)
        self._room.observe(now_s, self.metrics.received_bytes, self._spool.pending_bytes)
        if (hours := self._room.warning()) is not None:
            self._log.warning(
                "spool_room", hours_left=round(hours, 2), pending_bytes=self._spool.pending_bytes,
                limit_bytes=self._spool.limit_bytes, advice="free the disk or raise MILLWRIGHT_SPOOL_GB",
            )  # fmt: skip
        skewed = self._clock.skew_s is not None and abs(self._clock.skew_s) > _SKEW_TOLD_S
        if skewed and not self._skew_told:
            self._log.warning(
                "clock_skew", seconds=round(self._clock.skew_s or 0.0, 1), advice="set the server's clock"
            )
        self._skew_told = skewed

    def confirm(self, connection: psycopg.Connection, moment: datetime) -> None:
        """Keep the server's row in `raw.servers`, at the head of each landing. Raises where the connection is lost."""
        self._stepped_s = time.monotonic()
        if self._connected:
            self._heard = None  # that was the outage before
        standing = Standing(self._connected, self._reason, self._heard, self._clock.skew_s)
        try:
            self._row.confirm(connection, standing, moment)
        except psycopg.Error as error:
            if connection.closed:
                raise
            # A missing grant on this table is not worth a reading: the landing goes on.
            self._log.warning("server_not_confirmed", reason=str(error).strip().splitlines()[0])

    def take(self, seconds: float) -> dict[str, float]:
        """The figures of the last `seconds` as `ops.pipeline_metrics` keeps them."""
        sample = self.sample()
        metrics = self.metrics.take(seconds)
        self._tell_trouble(metrics)
        metrics |= {
            "spool_bytes": float(sample.spool_bytes),
            "reconnects": float(sample.reconnects),
            "connected_tags": float(sample.tags),
        }
        if sample.clock_skew_s is not None:
            metrics["clock_skew_s"] = sample.clock_skew_s
        if sample.hours_left is not None and math.isfinite(sample.hours_left):
            metrics["spool_hours_left"] = sample.hours_left
        return metrics

    def _tell_trouble(self, metrics: dict[str, float]) -> None:
        """One line when readings begin to be turned away or queues to overflow; the next when it begins again."""
        for name, advice in _TROUBLES.items():
            if metrics[name] and name not in self._told:
                self._log.warning(f"values_{name}", count=int(metrics[name]), advice=advice)
                self._told.add(name)
            elif not metrics[name]:
                self._told.discard(name)
