"""What the server keeps of the past (HistoryRead), for the gaps of the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import structlog
from asyncua import ua

from ingest.landing.gaps import RETRY_AFTER, Gap
from ingest.landing.notes import Verdict
from ingest.opcua.client import describe
from ingest.opcua.decoding import MalformedError, Past, history
from ingest.opcua.items import Items
from ingest.opcua.publishing import Sink
from ingest.opcua.server_limits import batched
from ingest.readings import Readings, concatenate, to_datetime, to_us

_POLL_S: Final = 2.0
_MOST_GAPS: Final = 1000
# Values of a node in a call: what a gap of a quarter of an hour at ten a second needs fits a few.
_PAGE: Final = 2000
# One call has one stretch for all of its nodes, so it takes together what begins and ends about together.
_ALIKE: Final = timedelta(seconds=10)
_BEYOND: Final = timedelta(milliseconds=1)
_NO_BOUND: Final = (ua.StatusCodes.BadBoundNotFound, ua.StatusCodes.BadBoundNotSupported, ua.StatusCodes.BadNoData)
_NO_HISTORY: Final = (
    ua.StatusCodes.BadHistoryOperationUnsupported,
    ua.StatusCodes.BadHistoryOperationInvalid,
    ua.StatusCodes.BadServiceUnsupported,
    ua.StatusCodes.BadNotImplemented,
    ua.StatusCodes.BadNotSupported,
    ua.StatusCodes.BadNotReadable,
)
NO_HISTORY: Final = "none: the server keeps no history of it"
NOT_ALLOWED: Final = "none: the server's history may not be read by this user"
NOT_THERE: Final = "none: the server's history doesn't have it"


@dataclass(frozen=True)
class _Outcome:
    """Why a gap isn't filled, and whether the server may know more later; None where only that is known."""

    reason: str | None
    again: bool


@dataclass
class _Job:
    """A stretch of one node that is asked for, and the gaps in it."""

    handle: int
    node: ua.NodeId
    start: datetime
    end: datetime
    gaps: list[Gap]
    last: Readings | None = None
    """the newest value that has come, to begin the next page with: so that pages leave nothing between them"""
    failed: int = 0
    """the status code that ended it, 0 for none"""
    had: dict[int, tuple[int, int]] = field(default_factory=dict)
    """tag id → the oldest and newest value that came, µs since 2000"""


class History:
    """Fills the gaps that `sink` knows of from the server's history, as long as its connection lasts."""

    def __init__(self, server: str, items: Items, sink: Sink, session: Any) -> None:
        self._items = items
        self._sink = sink
        self._session = session
        self._log = structlog.get_logger("ingest").bind(server=server)

    async def run(self) -> None:
        """Repair what there is to repair, again and again, until cancelled."""
        while True:
            gaps = await self._sink.gaps(_MOST_GAPS)
            if not gaps:
                await asyncio.sleep(_POLL_S)
                continue
            await self.repair(gaps, datetime.now(UTC))

    async def repair(self, gaps: Sequence[Gap], moment: datetime) -> None:
        """Take what the server has of `gaps`, and leave a verdict for as much of each as isn't filled by it."""
        outcomes = dict.fromkeys(gaps, _Outcome(NOT_THERE, again=True))
        try:
            for jobs in _alike(await self._jobs(gaps, outcomes), self._items.limits.nodes_a_history_read):
                await self._read_whole(jobs)
                outcomes.update({gap: _outcome(job, gap) for job in jobs for gap in job.gaps})
        except (ua.UaError, TimeoutError) as error:
            self._log.warning("history_not_read", reason=describe(error))
        for gap, outcome in outcomes.items():
            last = not outcome.again or (outcome.reason is not None and gap.attempts + 1 >= len(RETRY_AFTER))
            verdict = outcome.reason if last else None
            self._sink.note(Verdict(gap.tag_id, gap.from_us, gap.to_us, to_us(moment), verdict))

    async def _jobs(self, gaps: Sequence[Gap], outcomes: dict[Gap, _Outcome]) -> list[_Job]:
        """What is to be read; a node that has no history, or not for us, isn't asked."""
        jobs: dict[tuple[int, int, int], _Job] = {}
        for gap in gaps:
            handle, node = self._items.node_of(gap.tag_id)
            if node is None:  # missing on the server: it may come back
                outcomes[gap] = _Outcome(None, again=True)
                continue
            job = jobs.setdefault(
                (handle, gap.anchor_us, gap.to_us),
                _Job(handle, node, to_datetime(gap.anchor_us), to_datetime(gap.to_us), []),
            )
            job.gaps.append(gap)
        asked = list(jobs.values())
        levels = await batched(self._access, [job.node for job in asked], self._items.limits.nodes_a_read)
        readable = []
        for job, level in zip(asked, levels, strict=True):
            if level is None or level & 1 << ua.AccessLevel.HistoryRead:
                readable.append(job)
            else:
                outcomes.update(dict.fromkeys(job.gaps, _Outcome(NO_HISTORY, again=False)))
        return readable

    async def _access(self, nodes: Sequence[ua.NodeId]) -> list[int | None]:
        """The access level of each node, None where the server doesn't say."""
        values = await self._session.read_attributes(list(nodes), ua.AttributeIds.UserAccessLevel)
        return [value.Value.Value if value.Value is not None else None for value in values]

    async def _read_whole(self, jobs: Sequence[_Job]) -> None:
        try:
            rest = await self._read(jobs)
            while rest:
                rest = await self._read([rest[0]]) + rest[1:]
        except ua.UaStatusCodeError as error:  # of the call, not of one node
            self._log.info("history_refused", nodes=len(jobs), reason=describe(error))
            for job in jobs:
                job.failed = error.code
        except MalformedError as error:
            self._log.error("history_undecodable", nodes=len(jobs), reason=describe(error))
            for job in jobs:
                job.failed = ua.StatusCodes.BadDecodingError

    async def _read(self, jobs: Sequence[_Job]) -> list[_Job]:
        """Read the stretch that `jobs` have in common, page by page, and take each page; returns what was cut short."""
        start, end = min(job.start for job in jobs), max(job.end for job in jobs) + _BEYOND
        waiting: list[tuple[_Job, bytes | None]] = [(job, None) for job in jobs]
        shortened: list[_Job] = []
        try:
            while waiting:
                results = await self._page(waiting, start, end)
                page: list[Readings] = []
                following: list[tuple[_Job, bytes | None]] = []
                for (job, point), result in zip(waiting, results, strict=True):
                    values = self._values(job, result)
                    page.append(values)
                    if result.continuation_point and result.continuation_point != point:
                        following.append((job, result.continuation_point))
                    elif len(values) >= _PAGE * self._rows_a_value(job):
                        newest = to_datetime(values.rows["source_ts"][-1])
                        if newest > start:
                            # asyncua's server ends at the number asked for, and doesn't say so.
                            job.start = newest
                            shortened.append(job)
                waiting = following
                await self._take(page, jobs)
        finally:
            # Servers have few continuation points; a connection that is gone took its own along.
            with contextlib.suppress(ua.UaError, TimeoutError, ConnectionError):
                if held := [(job, point) for job, point in waiting if point is not None]:
                    await self._session._send_request(self._request(held, start, end, release=True))
        return shortened

    async def _page(self, asked: Sequence[tuple[_Job, bytes | None]], start: datetime, end: datetime) -> list[Past]:
        # Undecoded: a page may have a hundred thousand values, which the client's own decoder takes a second for.
        body = await self._session._send_request(self._request(asked, start, end))
        now = datetime.now(UTC)
        return history(body, [job.handle for job, _ in asked], now, now, self._items.elements)

    def _request(
        self, asked: Sequence[tuple[_Job, bytes | None]], start: datetime, end: datetime, *, release: bool = False
    ) -> ua.HistoryReadRequest:
        request = ua.HistoryReadRequest()
        parameters = request.Parameters
        parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
            IsReadModified=False, StartTime=start, EndTime=end, NumValuesPerNode=_PAGE, ReturnBounds=False
        )
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ReleaseContinuationPoints = release
        parameters.NodesToRead = [
            ua.HistoryReadValueId(NodeId=job.node, ContinuationPoint=point) for job, point in asked
        ]
        return request

    def _values(self, job: _Job, result: Past) -> Readings:
        """The values of a page, after the last one of the page before."""
        values = result.readings
        if not result.status.is_good():
            job.failed = job.failed or result.status.value
            return values.part(slice(0, 0))
        values = values.part(~np.isin(values.rows["status"] & 0xFFFF_0000, _NO_BOUND))
        before = job.last
        if len(values):
            job.last = values.part(slice(-self._rows_a_value(job), None))
        return values if before is None else concatenate([before, values])

    def _rows_a_value(self, job: _Job) -> int:
        """An array has a row for each of its elements that are tags."""
        return len(self._items.elements.get(job.handle, ())) or 1

    async def _take(self, page: list[Readings], jobs: Sequence[_Job]) -> None:
        """Spool what lies within the jobs' stretches; one batch has one unbroken stretch of each tag."""
        readings = concatenate(page)
        rows = readings.rows
        kept = np.zeros(len(rows), bool)
        for job in jobs:
            for gap in job.gaps:
                mine = (
                    (rows["tag_id"] == gap.tag_id)
                    & (rows["source_ts"] >= gap.anchor_us)
                    & (rows["source_ts"] <= gap.to_us)
                )
                if mine.any():
                    times = rows["source_ts"][mine]
                    low, high = job.had.get(gap.tag_id, (int(times.min()), int(times.max())))
                    job.had[gap.tag_id] = min(low, int(times.min())), max(high, int(times.max()))
                    kept |= mine
        if kept.any():
            await self._sink.take(readings.part(kept))


def _outcome(job: _Job, gap: Gap) -> _Outcome:
    """What is to be said of a gap that is still there once what was read has landed."""
    if job.failed in _NO_HISTORY:
        return _Outcome(NO_HISTORY, again=False)
    if job.failed == ua.StatusCodes.BadUserAccessDenied:
        return _Outcome(NOT_ALLOWED, again=False)
    _, newest = job.had.get(gap.tag_id, (0, gap.anchor_us))
    # A history that has what came after the gap has all it will ever have of what came before.
    return _Outcome(NOT_THERE, again=bool(job.failed) or newest < gap.to_us)


def _alike(jobs: Iterable[_Job], most: int) -> Iterator[list[_Job]]:
    """Jobs that begin and end about together, at most `most` at a time, each node once."""
    waiting = sorted(jobs, key=lambda job: (job.start, job.end))
    while waiting:
        first, batch, rest = waiting[0], [waiting[0]], []
        for job in waiting[1:]:
            alike = job.start - first.start <= _ALIKE and abs(job.end - first.end) <= _ALIKE
            if alike and len(batch) < most and all(job.handle != other.handle for other in batch):
                batch.append(job)
            else:
                rest.append(job)
        yield batch
        waiting = rest
