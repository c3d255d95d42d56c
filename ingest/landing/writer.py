"""The landing of live readings: one transaction for rows, last values, alerts, the ledger and rejects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from ingest.alerting.alarms import Alarms
from ingest.alerting.alerts import Watched
from ingest.errors import IngestError
from ingest.landing import events
from ingest.landing.events import Prepared
from ingest.landing.gaps import Gap, Gaps
from ingest.landing.marks import Marks
from ingest.landing.notes import Loss, Note, Resumed, Verdict
from ingest.landing.rejected import Rejected, reject, rejection
from ingest.landing.servers import claim
from ingest.landing.trouble import Trouble, diagnose, lacks_partition
from ingest.opcua.decoding import SEPARATOR
from ingest.plant import Plant
from ingest.readings import LIVE, NEWEST_US, NO_TIME, OLDEST_US, REJECTED, TEXT, Readings, concatenate, to_us
from warehouse.roles import Role, connect
from warehouse.settings import Settings

# Later than this a value is history, and an alarm about it would be noise.
ALARM_AGE: Final = timedelta(seconds=60)
# How long a connection that broke may go on holding our server.
RECLAIM_S: Final = 2.0


@dataclass(frozen=True)
class Landed:
    """What a landing did: rows that were new, rows turned away, alert transitions, overflow bits, and the source times
    (µs since 2000) of the rows that changed since the connection was made."""

    rows: int
    rejected: int
    transitions: int
    overflows: int
    current_us: NDArray[np.int64]


class TagsChangedError(IngestError):
    """The warehouse isn't the one that the worker's tags come from."""


class Writer:
    """Lands the readings of one server over a connection of its own; used from one thread.

    Raises psycopg errors that are about the server rather than the rows: the caller keeps the rows and tries again.
    """

    def __init__(self, settings: Settings, server: str, plant: Plant, tag_ids: dict[tuple[str, str], int]) -> None:
        self._settings = settings
        self._server = server
        self._options = plant.servers[server]
        tags = [
            (tag_ids[server, tag.address], equipment_id, tag)
            for equipment_id, equipment in plant.equipment.items()
            if equipment.server == server
            for tag in equipment.tags
        ]
        self._nodes = {tag_id: tag.address for tag_id, _, tag in tags}
        self._tag_ids = np.array(sorted(self._nodes), np.int32)
        self._numeric = np.array(
            sorted(tag_id for tag_id, _, tag in tags if tag.data_type in ("double", "integer", "boolean")), np.int32
        )
        watched = [
            (Watched(tag_id, equipment_id, tag.measurement, tag.position, tag.unit), limits)
            for tag_id, equipment_id, tag in tags
            if tag.role == "measurement" and (limits := plant.limits_of(tag)) is not None
        ]
        self._alarms = Alarms(server, watched)
        self._gaps = Gaps(self._nodes)
        self._latest = Marks(self._nodes)
        self._days: set[int] = set()
        self._connection: psycopg.Connection | None = None

    def connect(self) -> psycopg.Connection:
        """The connection, made anew where it is gone. Raises ServerTakenError where another worker has the server."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection = connect(self._settings, Role.INGEST, autocommit=True)
        try:
            # Our own connection before this one may not be quite gone.
            claim(connection, self._server, RECLAIM_S if self._connection is not None else 0.0)
            self._require_tags(connection)
            rows = connection.execute(
                "SELECT tag_id, source_ts FROM raw.tag_latest WHERE tag_id = ANY(%s)", (list(self._nodes),)
            )
            self._latest = Marks(self._nodes, ((tag_id, to_us(source_ts)) for tag_id, source_ts in rows))
            self._alarms.restore(connection)
            self._gaps.restore(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _require_tags(self, connection: psycopg.Connection) -> None:
        """Raise where the tags have other ids: values would land as those of another sensor."""
        query = "SELECT tag_id, node_id FROM raw.tags WHERE server = %s AND tag_id = ANY(%s)"
        known: dict[int, str] = dict(connection.execute(query, (self._server, list(self._nodes))).fetchall())
        if known != self._nodes:
            raise TagsChangedError(
                f"the warehouse doesn't know the tags of server {self._server!r} by the ids that this worker began"
                " with (was another one restored?): start the worker again"
            )

    def close(self) -> None:
        """Close the connection, and with it free the server for others."""
        if self._connection is not None:
            self._connection.close()

    def note(self, note: Note) -> None:
        """Bring a note of the session into the ledger; the same one twice is once."""
        connection = self.connect()
        try:
            with connection.transaction():
                if isinstance(note, Verdict):
                    self._gaps.judge(connection, note)
                elif isinstance(note, Resumed):
                    self._gaps.resumed(connection, note)
                elif note.heard_us is None and note.tag_ids is None:
                    self._away(connection, note)
                else:
                    self._gaps.open(connection, self._server, note, self._latest, note.heard_us)
        except BaseException:
            self._gaps.forget()
            raise
        self._gaps.settle()

    def _away(self, connection: psycopg.Connection, loss: Loss) -> None:
        """Open gaps from where the worker before this one stopped; for tags that it landed, not for backfilled ones."""
        last = connection.execute(
            "SELECT t.tag_id, last.source_ts FROM unnest(%s::integer[]) AS t (tag_id) CROSS JOIN LATERAL"
            " (SELECT e.source_ts, e.origin FROM raw.sensor_events AS e WHERE e.tag_id = t.tag_id"
            " ORDER BY e.source_ts DESC LIMIT 1) AS last WHERE last.origin <> 'backfill'",
            (list(self._nodes),),
        ).fetchall()
        latest = {tag_id: to_us(source_ts) for tag_id, source_ts in last}
        # The server was heard until its most recent value; a tag that was silent then had not changed.
        heard = max(latest.values(), default=0) - self._options.publishing_interval_ms * 1000
        self._gaps.open(connection, self._server, loss, latest, heard if latest else None)

    def gaps(self, moment: datetime, most: int) -> list[Gap]:
        """Gaps that the server's history is to be asked about now."""
        return self._gaps.due(self.connect(), moment, most)

    def land(self, batches: Sequence[Readings], moment: datetime) -> Landed:
        """Land batches that were received up to `moment`. Rows that can't be used are rejected one by one."""
        age_us = ALARM_AGE // timedelta(microseconds=1)
        live = [batch for batch in batches if batch.origin == LIVE]
        past = [batch for batch in batches if batch.origin != LIVE]
        late = [batch for batch in live if to_us(moment) - batch.received_us >= age_us]
        timely = [batch for batch in live if to_us(moment) - batch.received_us < age_us]
        # What a spool held back, and what a server kept for us, lands like the rest, in silence. A batch of history
        # answers for its stretch of each tag, so it is not mixed with another.
        landed = [
            self._land_sifted(part, moment, alarms)
            for part, alarms in (*(([batch], False) for batch in past), (late, False), (timely, True))
            if part
        ]
        return landed[0] if len(landed) == 1 else _sum(landed)

    def _land_sifted(self, batches: Sequence[Readings], moment: datetime, alarms: bool) -> Landed:
        usable: list[Readings] = []
        rejected: list[Rejected] = []
        for batch in batches:
            good, bad = self._sift(batch)
            rejected.extend(bad)
            usable.append(good)
        return self._land(events.prepare(concatenate(usable)), rejected, moment, alarms)

    def _sift(self, batch: Readings) -> tuple[Readings, list[Rejected]]:
        rows = batch.rows
        # A server's clock may say what no calendar holds; the reading is as good without that.
        rows["server_ts"][(rows["server_ts"] < OLDEST_US) | (rows["server_ts"] > NEWEST_US)] = NO_TIME
        day = 86_400_000_000
        reasons: dict[int, str] = {}
        oldest = batch.received_us - self._options.oldest_value_days * day
        newest = batch.received_us + self._options.future_tolerance_s * 1_000_000
        for place in np.flatnonzero(rows["source_ts"] > newest).tolist():
            reasons[place] = f"source timestamp more than {self._options.future_tolerance_s} s ahead of the clock"
        for place in np.flatnonzero(rows["source_ts"] < oldest).tolist() if batch.origin == LIVE else ():
            reasons[place] = f"source timestamp older than {self._options.oldest_value_days} days"
        texts_for_numbers = (rows["kind"] == TEXT) & np.isin(rows["tag_id"], self._numeric)
        for place in np.flatnonzero(texts_for_numbers).tolist():
            reasons[place] = "text where plant.yml says a number"
        for place in np.flatnonzero(~np.isin(rows["tag_id"], self._tag_ids)).tolist():
            reasons[place] = "unknown handle"
        for place in np.flatnonzero(rows["kind"] == REJECTED).tolist():
            reasons[place] = (batch.text(rows[place]) or "unsupported").split(SEPARATOR)[0]
        if not reasons:
            return batch, []
        kept = np.ones(len(rows), bool)
        kept[list(reasons)] = False
        bad = [rejection(batch, rows[place], reason) for place, reason in sorted(reasons.items())]
        return batch.part(kept), bad

    def _land(
        self,
        prepared: Prepared,
        rejected: Sequence[Rejected],
        moment: datetime,
        alarms: bool,
        direct: bool = True,
    ) -> Landed:
        try:
            return self._transact(prepared, rejected, moment, alarms, direct)
        except psycopg.Error as error:
            if self._days and lacks_partition(error):
                self._days.clear()  # a partition was dropped behind our back
                return self._land(prepared, rejected, moment, alarms, direct)
            trouble = diagnose(error).trouble
            if trouble is Trouble.STANDING:
                # What someone mends, such as a standby that is promoted, may show in new sessions only.
                self.close()
            if trouble is not Trouble.POISON:
                raise
            if direct and isinstance(error, psycopg.errors.UniqueViolation):
                # A backfill has been faster; the way that asks first settles it.
                return self._land(prepared, rejected, moment, alarms, direct=False)
            return self._set_aside(prepared, rejected, moment, alarms, error)

    def _set_aside(
        self,
        prepared: Prepared,
        rejected: Sequence[Rejected],
        moment: datetime,
        alarms: bool,
        error: psycopg.Error,
    ) -> Landed:
        """Land what can be landed: halve until the row that Postgres refuses is alone, and reject that."""
        none = prepared.part(slice(0, 0))
        if len(prepared) and rejected:
            return _sum([self._land(prepared, (), moment, alarms), self._land(none, rejected, moment, alarms)])
        if len(prepared) > 1:
            middle = len(prepared) // 2
            halves = prepared.part(slice(None, middle)), prepared.part(slice(middle, None))
            return _sum([self._land(half, (), moment, alarms) for half in halves])
        if len(rejected) > 1:
            middle = len(rejected) // 2
            return _sum([self._land(none, part, moment, alarms) for part in (rejected[:middle], rejected[middle:])])
        reason = f"refused by Postgres: {error.diag.message_primary or error}"
        if len(prepared) == 1:
            poison = rejection(prepared.readings, prepared.readings.rows[0], reason)
            return self._land(none, [poison], moment, alarms)
        # Even the account of the row is refused: what is left is that there was one, and why.
        bare = Rejected(reason, rejected[0].tag_id, received_us=rejected[0].received_us)
        return self._transact(none, [bare], moment, False, True)

    def _transact(
        self, prepared: Prepared, rejected: Sequence[Rejected], moment: datetime, alarms: bool, direct: bool
    ) -> Landed:
        connection = self.connect()
        rows = prepared.readings.rows
        transitions = overflows = new = 0
        days = events.days_of(rows) - self._days
        try:
            with connection.transaction():
                events.ensure_partitions(connection, days)
                if len(rows):
                    new = self._insert(connection, prepared, to_us(moment), direct)
                    self._gaps.cover(connection, prepared, self._latest)
                    self._gaps.close(connection, prepared, self._latest)
                    overflows = self._gaps.overflowed(connection, prepared)
                    events.upsert_latest(connection, prepared)
                    if prepared.readings.origin == LIVE:
                        transitions = self._alarms.evaluate(connection, prepared, to_us(moment), late=not alarms)
                if rejected:
                    reject(connection, self._server, self._nodes, rejected, prepared.readings.origin)
        except BaseException:
            self._alarms.forget()
            self._gaps.forget()
            raise
        self._alarms.settle()
        self._gaps.settle()
        self._days |= days
        newest = prepared.newest
        self._latest.advance(newest["tag_id"], newest["source_ts"])
        # Values from before the connection say how long the tag has not changed, not how slow we are.
        current = rows["source_ts"][
            (rows["source_ts"] > prepared.readings.connected_us) & (prepared.readings.origin == LIVE)
        ]
        return Landed(new, len(rejected), transitions, overflows, current)

    def _insert(self, connection: psycopg.Connection, prepared: Prepared, moment_us: int, direct: bool) -> int:
        rows = prepared.readings.rows
        beyond = np.zeros(len(rows), bool)
        if direct:
            beyond = rows["source_ts"] > self._latest.of(rows["tag_id"])
        new = 0
        for mask, insert in ((beyond, events.insert_new), (~beyond, events.insert_missing)):
            if mask.any():
                part = prepared if mask.all() else prepared.part(mask)
                new += insert(connection, part, part.readings.origin, np.full(len(part), moment_us, np.int64))
        return new

    def until_tick(self, moment: datetime) -> float:
        """Seconds from `moment` until `tick` has something to do: a second at most, for what operators shelve."""
        due_us = self._alarms.due_us
        return 1.0 if due_us is None else min(1.0, max(0.01, (due_us - to_us(moment)) / 1e6))

    def tick(self, moment: datetime) -> int:
        """Alarms that time alone moves; to be called when there is nothing to land. Returns the transitions."""
        moment_us = to_us(moment)
        if not self._alarms.due(moment_us):
            return 0
        connection = self.connect()
        try:
            with connection.transaction():
                transitions = self._alarms.tick(connection, moment_us)
        except BaseException:
            self._alarms.forget()
            raise
        self._alarms.settle()
        return transitions

    def record_metrics(self, metrics: dict[str, float]) -> None:
        """Rows of stage 'ingest' into `ops.pipeline_metrics`."""
        connection = self.connect()
        connection.cursor().executemany(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value, labels) VALUES ('ingest', %s, %s, %s)",
            [(metric, value, Jsonb({"server": self._server})) for metric, value in metrics.items()],
        )


def _sum(parts: Sequence[Landed]) -> Landed:
    return Landed(
        sum(part.rows for part in parts),
        sum(part.rejected for part in parts),
        sum(part.transitions for part in parts),
        sum(part.overflows for part in parts),
        np.concatenate([part.current_us for part in parts]),
    )
