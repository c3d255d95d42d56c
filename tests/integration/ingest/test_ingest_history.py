"""Gaps are filled from the history that a server keeps, and are permanent where it has none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.history import HistoryDict
from asyncua.server.internal_session import InternalSession

from ingest.landing import gaps as gaps_module
from ingest.opcua import history as history_module
from ingest.opcua import session as session_module
from tests.integration.ingest.test_ingest_collector import (
    Field,
    collecting,
    connected,
    eventually,
    field,
    here,
    landed,
    plant_of,
)
from warehouse.settings import Settings

__all__ = ["field", "here"]  # fixtures


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_LONGEST_BACKOFF_S", 0.5)
    monkeypatch.setattr(history_module, "_POLL_S", 0.1)
    monkeypatch.setattr(gaps_module, "RETRY_AFTER", tuple(timedelta(seconds=s) for s in (0, 0.2, 0.2, 0.2)))
    monkeypatch.setattr(history_module, "RETRY_AFTER", gaps_module.RETRY_AFTER)


async def keep_history(field: Field, *names: str, storage: HistoryDict | None = None) -> HistoryDict:
    storage = storage or HistoryDict()
    field.server.iserver.history_manager.set_storage(storage)
    for name in names:
        await field.server.historize_node_data_change(field.nodes[name], period=None)
    return storage


async def kept(storage: HistoryDict, count: int) -> None:
    await eventually(lambda: sum(len(values) for values in storage._datachanges.values()) >= count, True)


@asynccontextmanager
async def away(field: Field, settings: Settings, admin: psycopg.Connection, values: int) -> AsyncIterator[None]:
    """A worker has stopped at value 10; what it comes back to is prepared inside, and then goes on to value 1000."""
    async with collecting(settings, plant_of(field)) as collector:
        await connected(collector)
        await field.burst("T", 1, 10)
        await eventually(lambda: len(landed(admin)), 10)
    await field.burst("T", 11, values)
    yield


def ledger(admin: psycopg.Connection) -> list[Any]:
    """Of the tag that was written to."""
    return admin.execute(
        "SELECT repaired, repair FROM raw.sensor_gaps JOIN raw.tags USING (tag_id) WHERE measurement = 'temperature'"
        " ORDER BY from_ts"
    ).fetchall()


async def test_a_worker_that_was_away_comes_back_whole(field: Field, here: Settings, admin: psycopg.Connection) -> None:
    storage = await keep_history(field, "T")
    async with away(field, here, admin, 200):
        await kept(storage, 210)
    async with collecting(here, plant_of(field)):
        await eventually(lambda: len(landed(admin)), 210)
        await eventually(lambda: ledger(admin), [(True, "history")])
    assert landed(admin) == [float(n) for n in range(1, 211)]
    origins = dict(admin.execute("SELECT origin::text, count(*) FROM raw.sensor_events WHERE value > 0 GROUP BY 1"))
    assert origins == {"live": 11, "history": 199}


@pytest.mark.parametrize(("page", "most"), [(50, 10_000), (2000, 30), (40, 30), (2, 10_000)])
async def test_a_long_gap_is_read_in_pages(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, page: int, most: int
) -> None:
    monkeypatch.setattr(history_module, "_PAGE", page)
    storage = await keep_history(field, "T", "V", storage=HistoryDict(max_history_data_response_size=most))
    async with away(field, here, admin, 120):
        await kept(storage, 130)
    async with collecting(here, plant_of(field)):
        await eventually(lambda: len(landed(admin)), 130)
        await eventually(lambda: {gap[1] for gap in ledger(admin)}, {"history"})


async def test_a_node_without_history_has_a_permanent_gap(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    async with away(field, here, admin, 20):
        pass
    async with collecting(here, plant_of(field)):
        await eventually(lambda: ledger(admin), [(False, history_module.NO_HISTORY)])
    assert landed(admin) == [*range(1, 11), 30]


async def test_a_server_without_the_service_has_permanent_gaps(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: InternalSession, params: Any) -> Any:
        raise ServiceError(ua.StatusCodes.BadHistoryOperationUnsupported)

    monkeypatch.setattr(InternalSession, "history_read", refuse)
    await keep_history(field, "T")
    async with away(field, here, admin, 20):
        pass
    async with collecting(here, plant_of(field)) as collector:
        await eventually(lambda: ledger(admin), [(False, history_module.NO_HISTORY)])
        assert collector.session.reconnects == 0


async def test_a_history_that_lags_behind_is_asked_again(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = HistoryDict.read_node_history
    asked = 0

    async def lagging(self: HistoryDict, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        values, point = await read(self, *args)
        return values[: len(values) // 2] if asked <= 2 else values, point

    monkeypatch.setattr(HistoryDict, "read_node_history", lagging)
    storage = await keep_history(field, "T")
    async with away(field, here, admin, 100):
        await kept(storage, 110)
    async with collecting(here, plant_of(field)):
        await eventually(lambda: len(landed(admin)), 110)
        await eventually(lambda: {gap[1] for gap in ledger(admin)}, {"history"})


async def test_what_history_does_not_reach_stays_a_gap(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that begins within the outage repairs what it has; what came before is gone."""
    storage = await keep_history(field, "T")
    async with away(field, here, admin, 100):
        await kept(storage, 110)
        values = storage._datachanges[field.nodes["T"].nodeid]
        del values[:60]
    async with collecting(here, plant_of(field)):
        await eventually(lambda: [gap[0] for gap in ledger(admin)], [False, True])
        await eventually(lambda: ledger(admin)[0], (False, history_module.NOT_THERE))
    first = float(values[0].Value.Value)
    assert landed(admin) == [*(float(n) for n in range(1, 11)), *(float(n) for n in range(int(first), 111))]
    ((start, end),) = admin.execute(
        "SELECT g.from_ts, g.to_ts FROM raw.sensor_gaps AS g JOIN raw.tags USING (tag_id)"
        " WHERE measurement = 'temperature' AND NOT repaired"
    ).fetchall()
    times = dict(admin.execute("SELECT value, source_ts FROM raw.sensor_events WHERE value > 0"))
    assert (start, end) == (times[10.0], times[first])


async def test_history_of_a_moment_long_past_is_no_alarm_and_no_news(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    storage = await keep_history(field, "T")
    async with away(field, here, admin, 0):
        await field.write("T", 500.0, datetime.now(UTC))  # beyond every limit, while nobody looked
        await field.write("T", 20.0, datetime.now(UTC))
        await kept(storage, 12)
    async with collecting(here, plant_of(field)):
        await eventually(lambda: landed(admin)[-1], 500.0)
        await eventually(lambda: ledger(admin), [(True, "history")])
    assert admin.execute("SELECT count(*) FROM serving.critical_alerts").fetchone() == (0,)
    ((value,),) = admin.execute(
        "SELECT value FROM raw.tag_latest JOIN raw.tags USING (tag_id) WHERE measurement = 'temperature'"
    ).fetchall()
    assert value == 20.0
