"""How a server stands, as a row: since when, why, how wrong its clock is, and what the dashboard makes of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from ingest.landing.servers import Clock, Row, ServerTakenError, Standing, claim, require_unclaimed
from ingest.landing.spool import Spool
from ingest.watch import Watch
from tests.unit.ingest.test_ingest_health import Link
from warehouse.roles import Role, connect
from warehouse.settings import Settings

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stands(admin: psycopg.Connection) -> Any:
    return admin.execute("SELECT state, since, reason, clock_skew_s FROM serving.server_state").fetchone()


def test_a_state_is_kept_since_it_began(warehouse: Settings, admin: psycopg.Connection) -> None:
    heard = T0 + timedelta(seconds=60)
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:
        row = Row("main", "opc.tcp://x")
        row.confirm(connection, Standing(False, "refused"), T0)
        assert stands(admin) == ("unreachable", T0, "refused", None)
        row.confirm(connection, Standing(True, clock_skew_s=0.5), T0 + timedelta(seconds=9))
        assert stands(admin) == ("connected", T0 + timedelta(seconds=9), None, 0.5)
        row.confirm(connection, Standing(False, "silent", heard), T0 + timedelta(seconds=70))
        assert stands(admin) == ("unreachable", heard, "silent", 0.5)
        row.confirm(connection, Standing(False, "refused", heard + timedelta(days=1)), T0 + timedelta(seconds=75))
        assert stands(admin) == ("unreachable", heard, "refused", 0.5)


def test_after_a_crash_a_server_is_unreachable_since_the_last_word(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:
        Row("main", "opc.tcp://x").confirm(connection, Standing(True), T0)
        (last,) = admin.execute("UPDATE raw.servers SET confirmed_at = %s RETURNING confirmed_at", (T0,)).fetchone()  # type: ignore[misc]
        assert stands(admin)[0] == "not collected"
        Row("main", "opc.tcp://x").confirm(connection, Standing(False, "not connected yet"), T0 + timedelta(days=1))
        assert stands(admin)[:2] == ("unreachable", last)


def test_a_row_is_written_when_it_is_news(warehouse: Settings, admin: psycopg.Connection) -> None:
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:
        row = Row("main", "opc.tcp://x")
        row.confirm(connection, Standing(True), T0)
        admin.execute("DELETE FROM raw.servers")
        row.confirm(connection, Standing(True), T0)
        assert stands(admin) is None
        row.confirm(connection, Standing(False, "gone"), T0)
        assert stands(admin)[0] == "unreachable"


def test_the_clock_is_the_least_delayed_reading_of_a_minute() -> None:
    clock = Clock()
    clock.note(None)
    assert clock.skew_s is None
    for skew in (1.2, 1.9, 2.0, -4.0):
        clock.note(skew)
    assert clock.skew_s == 2.0
    for _ in range(12):
        clock.note(-3.0)
    assert clock.skew_s == -3.0


def test_who_has_a_server_is_waited_for_and_then_named(warehouse: Settings) -> None:
    with connect(warehouse, Role.INGEST, autocommit=True) as holder:
        claim(holder, "main")
        Row("main", "opc.tcp://x").confirm(holder, Standing(True), T0)
        require_unclaimed(warehouse, ["other"], 0.0)
        with pytest.raises(ServerTakenError, match=r"server 'main' .* \(\S+, process \d+\); stop that one"):
            require_unclaimed(warehouse, ["other", "main"], 0.3)
    require_unclaimed(warehouse, ["other", "main"], 3.0)


def test_a_missing_grant_stops_no_landing_and_a_lost_connection_is_told(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    spool = Spool(tmp_path, 10**6)
    watch = Watch("main", "opc.tcp://x", spool, Link(connected_tags=1))
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:
        admin.execute("REVOKE INSERT ON raw.servers FROM millwright_ingest")
        with structlog.testing.capture_logs() as lines:
            watch.confirm(connection, T0)
        assert [line["event"] for line in lines] == ["server_not_confirmed"]
        assert stands(admin) is None
        admin.execute("GRANT INSERT ON raw.servers TO millwright_ingest")
        watch.confirm(connection, T0)
        assert stands(admin)[0] == "connected"
        admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        watch.stop()
        with pytest.raises(psycopg.OperationalError):
            watch.confirm(connection, T0)
    spool.close()


def test_an_outage_begins_by_our_clock_and_a_stop_when_it_is(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    spool, link = Spool(tmp_path, 10**6), Link(connected_tags=1, clock_skew_s=3600.0)
    watch = Watch("main", "opc.tcp://x", spool, link)
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:
        watch.confirm(connection, T0)
        link.connected_tags = 0
        watch.lost("outage", T0 + timedelta(seconds=3600 + 5))
        watch.confirm(connection, T0 + timedelta(seconds=9))
        assert stands(admin)[:2] == ("unreachable", T0 + timedelta(seconds=5))
        link.connected_tags = 1
        watch.confirm(connection, T0 + timedelta(seconds=20))
        (confirmed,) = admin.execute("SELECT confirmed_at FROM raw.servers").fetchone()  # type: ignore[misc]
        watch.stop()
        watch.confirm(connection, T0 + timedelta(seconds=30))
        assert stands(admin)[:3] == ("unreachable", confirmed, "the worker was stopped")
    spool.close()
