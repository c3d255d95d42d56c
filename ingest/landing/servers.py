"""`raw.servers`: whether a server is reached, since when, and how wrong its clock is. Quality downstream follows it."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

import psycopg

from ingest.errors import IngestError
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CONFIRMED_EVERY_S: Final = 5.0
_CLOCK_READINGS: Final = 12
_PATIENCE_S: Final = 3.0

_CONFIRM: Final = """
INSERT INTO raw.servers AS s (server, url, worker, connected_since, unreachable_since, reason, clock_skew_s)
VALUES (
    %(server)s, %(url)s, %(worker)s,
    CASE WHEN %(connected)s THEN %(moment)s::timestamptz END,
    CASE WHEN NOT %(connected)s THEN coalesce(%(heard)s::timestamptz, %(moment)s) END,
    %(reason)s, %(skew)s
)
ON CONFLICT (server) DO UPDATE SET
    url = excluded.url,
    worker = excluded.worker,
    connected_since = CASE WHEN %(connected)s THEN coalesce(s.connected_since, excluded.connected_since) END,
    unreachable_since = CASE WHEN NOT %(connected)s THEN coalesce(s.unreachable_since, %(heard)s, s.confirmed_at) END,
    reason = excluded.reason,
    clock_skew_s = coalesce(excluded.clock_skew_s, s.clock_skew_s),
    confirmed_at = clock_timestamp()
"""


class ServerTakenError(IngestError):
    """Another worker collects this server; two would do everything twice."""


@dataclass(frozen=True)
class Standing:
    """How a server stands: connected or not, why not, when it was heard last, and its clock minus ours in seconds."""

    connected: bool
    reason: str | None = None
    heard: datetime | None = None
    clock_skew_s: float | None = None


class Clock:
    """A server's clock against ours. Delays only make it look slow, so the largest of the last minute is nearest."""

    def __init__(self) -> None:
        self._readings: deque[float] = deque(maxlen=_CLOCK_READINGS)

    def note(self, skew_s: float | None) -> None:
        """A reading: the server's clock in a notification minus ours on its arrival; None where there was none."""
        if skew_s is not None:
            self._readings.append(skew_s)

    @property
    def skew_s(self) -> float | None:
        """Seconds that the server is ahead, None before a reading."""
        return max(self._readings) if self._readings else None


class Row:
    """The row of one server, written by its collector: at once when the state changes, else every five seconds."""

    def __init__(self, server: str, url: str) -> None:
        self._server = server
        self._url = url
        self._worker = f"{socket.gethostname()}, process {os.getpid()}"
        self._told: tuple[bool, str | None] | None = None
        self._at_s = -CONFIRMED_EVERY_S

    def confirm(self, connection: psycopg.Connection, standing: Standing, moment: datetime) -> None:
        """Write how the server stands at `moment`, where that is news or the last time is a while ago."""
        told = (standing.connected, standing.reason)
        if told == self._told and time.monotonic() - self._at_s < CONFIRMED_EVERY_S:
            return
        connection.execute(
            _CONFIRM,
            {
                "server": self._server,
                "url": self._url,
                "worker": self._worker,
                "connected": standing.connected,
                "moment": moment,
                "heard": standing.heard,
                "reason": None if standing.connected else standing.reason,
                "skew": standing.clock_skew_s,
            },
        )
        self._told, self._at_s = told, time.monotonic()


def require_unclaimed(settings: Settings, servers: Sequence[str], patience_s: float = _PATIENCE_S) -> None:
    """Return when no other worker has one of `servers`: a killed worker's connection may outlive it for a moment.

    Raises ServerTakenError after `patience_s` seconds. Where Postgres can't tell, the landing finds out.
    """
    deadline = time.monotonic() + patience_s
    try:
        with connect(settings, Role.INGEST, autocommit=True) as connection:
            for server in servers:
                claim(connection, server, deadline - time.monotonic())
            # A closed connection keeps its locks for a moment, in which our own collector would find them taken.
            connection.execute("SELECT pg_advisory_unlock_all()")
    except psycopg.OperationalError:
        return


def claim(connection: psycopg.Connection, server: str, patience_s: float = 0.0) -> None:
    """Have `server` to oneself for as long as the connection lives; raises ServerTakenError, which names who has it.

    A connection that was closed a moment ago may hold it still: hence the patience.
    """
    deadline = time.monotonic() + patience_s
    while not _scalar(
        connection, "SELECT pg_try_advisory_lock(hashtextextended('millwright ingest ' || %s, 0))", server
    ):
        if time.monotonic() >= deadline:
            raise _taken(connection, server)
        time.sleep(0.05)


def _taken(connection: psycopg.Connection, server: str) -> ServerTakenError:
    worker = _scalar(connection, "SELECT worker FROM raw.servers WHERE server = %s", server)
    return ServerTakenError(
        f"server {server!r} is being collected by another worker{f' ({worker})' if worker else ''}; stop that one,"
        " or give each its own with --server"
    )


def _scalar(connection: psycopg.Connection, query: LiteralString, server: str) -> object:
    row = connection.execute(query, (server,)).fetchone()
    return row[0] if row else None
