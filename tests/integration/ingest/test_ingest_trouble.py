"""Classes of Postgres errors, each made by a real server: what waits lands later, what is poison is set aside alone."""

from collections.abc import Iterator

import psycopg
import pytest

from ingest.landing.trouble import Trouble, diagnose
from ingest.landing.writer import Writer
from tests.integration.ingest.test_ingest_writer import PLANT, T0, Landing, events
from warehouse.server import free_port
from warehouse.settings import Settings

VALUES = [("T", float(n), float(n)) for n in range(20)]


@pytest.fixture
def landing(warehouse: Settings) -> Iterator[Landing]:
    made = Landing(warehouse, PLANT)
    yield made
    made.writer.close()


def refuse(admin: psycopg.Connection, action: str) -> None:
    """Have Postgres do `action` when the thirteenth value comes, in the midst of a COPY."""
    admin.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN IF NEW.value = 13 THEN {action}; END IF; RETURN NEW; END $$"
    )
    admin.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON raw.sensor_events FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    )


def fails(landing: Landing, trouble: Trouble, kind: str) -> str:
    """Land VALUES, which must fail as said; returns the advice."""
    with pytest.raises(psycopg.Error) as caught:
        landing.land(*VALUES)
    found = diagnose(caught.value)
    assert (found.trouble, found.kind) == (trouble, kind)
    assert found.reason and "\n" not in found.reason
    return found.advice


def lands_whole(landing: Landing, admin: psycopg.Connection) -> None:
    """After the trouble the same values land, each once, and none was set aside."""
    assert landing.land(*VALUES) == 20
    assert events(admin) == [float(n) for n in range(20)]
    assert admin.execute("SELECT count(*) FROM raw.rejected_events").fetchone() == (0,)


@pytest.mark.parametrize(
    ("code", "trouble", "kind"),
    [
        ("40001", Trouble.TRANSIENT, "SerializationFailure"),
        ("53200", Trouble.TRANSIENT, "OutOfMemory"),
        ("53100", Trouble.STANDING, "DiskFull"),
        ("58030", Trouble.STANDING, "IoError"),
        ("XX002", Trouble.STANDING, "IndexCorrupted"),
        ("42P01", Trouble.STANDING, "UndefinedTable"),
    ],
)
def test_trouble_with_the_server_costs_no_row(
    landing: Landing, admin: psycopg.Connection, code: str, trouble: Trouble, kind: str
) -> None:
    refuse(admin, f"RAISE EXCEPTION 'no' USING ERRCODE = '{code}'")
    fails(landing, trouble, kind)
    assert events(admin) == []
    admin.execute("DROP TRIGGER refuse ON raw.sensor_events")
    lands_whole(landing, admin)


@pytest.mark.parametrize("code", ["22003", "23514", "54000", "P0001"])
def test_a_row_that_is_refused_is_set_aside_alone(landing: Landing, admin: psycopg.Connection, code: str) -> None:
    refuse(admin, f"RAISE EXCEPTION 'not this one' USING ERRCODE = '{code}', CONSTRAINT = 'own'")
    assert landing.land(*VALUES) == 19
    assert 13.0 not in events(admin)
    assert admin.execute("SELECT reason, payload FROM raw.rejected_events").fetchall() == [
        ("refused by Postgres: not this one", "13.0")
    ]


def test_a_connection_that_breaks_in_the_midst_of_a_copy_costs_no_row(
    landing: Landing, admin: psycopg.Connection
) -> None:
    refuse(admin, "PERFORM pg_terminate_backend(pg_backend_pid())")
    fails(landing, Trouble.TRANSIENT, "AdminShutdown")
    assert events(admin) == []
    admin.execute("DROP TRIGGER refuse ON raw.sensor_events")
    lands_whole(landing, admin)


def test_revoked_privileges_say_what_to_grant(landing: Landing, admin: psycopg.Connection) -> None:
    admin.execute("REVOKE INSERT ON raw.sensor_events FROM millwright_ingest")
    assert "python -m warehouse migrate" in fails(landing, Trouble.STANDING, "InsufficientPrivilege")
    admin.execute("GRANT INSERT ON raw.sensor_events TO millwright_ingest")
    lands_whole(landing, admin)


def test_a_read_only_postgres_is_asked_again_in_a_new_session(landing: Landing, admin: psycopg.Connection) -> None:
    name = admin.info.dbname
    admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert "primary" in fails(landing, Trouble.STANDING, "ReadOnlySqlTransaction")
    # Sessions that are there keep the setting that they began with.
    admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    lands_whole(landing, admin)


def test_a_partition_in_the_way_of_another_costs_no_row(landing: Landing, admin: psycopg.Connection) -> None:
    landing.land(("V", 0, 1.0))
    admin.execute("ALTER TABLE raw.sensor_events DETACH PARTITION raw.sensor_events_20260101")
    assert "attach" in fails(landing, Trouble.STANDING, "CheckViolation")
    admin.execute("DROP TABLE raw.sensor_events_20260101")
    lands_whole(landing, admin)


def test_an_account_that_is_refused_too_blocks_nothing(landing: Landing, admin: psycopg.Connection) -> None:
    admin.execute("ALTER TABLE raw.rejected_events ADD CONSTRAINT dull CHECK (payload <> 'hot')")
    assert landing.land(("T", 1, "hot"), ("T", 2, "warm"), ("T", 3, 3.0)) == 1
    assert events(admin) == [3.0]
    rows = admin.execute("SELECT reason, payload FROM raw.rejected_events ORDER BY payload NULLS LAST").fetchall()
    assert rows[0] == ("text where plant.yml says a number", "warm")
    assert rows[1][0].startswith("refused by Postgres: new row") and rows[1][1] is None


def test_a_wrong_password_stands_and_a_silent_port_passes(
    landing: Landing, warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = Writer(warehouse.model_copy(update={"postgres_port": free_port()}), "main", PLANT, landing.ids)
    with pytest.raises(psycopg.OperationalError) as caught:
        nobody.land([landing.batch(*VALUES)], T0)
    assert diagnose(caught.value).trouble is Trouble.TRANSIENT
    monkeypatch.setenv("MILLWRIGHT_PASSWORD_INGEST", "wrong")
    assert "passwords.json" in fails(landing, Trouble.STANDING, "OperationalError")


def test_an_error_of_no_known_kind_sets_no_row_aside() -> None:
    assert diagnose(psycopg.InterfaceError("what?")).trouble is Trouble.STANDING
