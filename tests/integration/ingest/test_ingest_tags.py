"""plant.yml as rows: added, changed, retired; what has landed keeps its id."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ingest.errors import IngestError
from ingest.plant import Plant
from ingest.tags import SyncResult, sync_plant
from warehouse.settings import Settings

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PUMP = {
    "name": "Pump",
    "type": "pump",
    "server": "main",
    "tags": [
        {"node": "nsu=urn:x;s=T", "measurement": "temperature", "unit": "°C"},
        {"node": "nsu=urn:x;s=V", "measurement": "vibration", "unit": "mm/s"},
    ],
}


def plant(**equipment: dict[str, Any]) -> Plant:
    return Plant.model_validate(
        {
            "plant_id": "P1",
            "name": "Plant",
            "timezone": "UTC",
            "servers": {"main": {"url": "opc.tcp://127.0.0.1:4840"}},
            "limits": {"temperature": {"high": {"warning": 80, "emergency": 90}}},
            "equipment": equipment,
        }
    )


def with_tag(index: int, **change: Any) -> dict[str, Any]:
    tags = [dict(tag) for tag in PUMP["tags"]]  # type: ignore[attr-defined]
    tags[index].update(change)
    return {**PUMP, "tags": tags}


def counts(result: SyncResult) -> tuple[int, int, int, int]:
    return result.added, result.changed, result.retired, result.unchanged


def current(admin: psycopg.Connection) -> dict[str, int]:
    rows = admin.execute("SELECT node_id, tag_id FROM raw.tags WHERE valid_to IS NULL").fetchall()
    return {row[0]: row[1] for row in rows}


def test_a_repeated_sync_changes_nothing(warehouse: Settings, admin: psycopg.Connection) -> None:
    assert counts(sync_plant(warehouse, plant(PUMP=PUMP), T0)) == (2, 0, 0, 0)
    before = current(admin)
    again = sync_plant(warehouse, plant(PUMP=PUMP), T0 + timedelta(hours=1))
    assert counts(again) == (0, 0, 0, 2)
    assert current(admin) == before == {node: tag_id for (_, node), tag_id in again.tag_ids.items()}
    limits = admin.execute(
        "SELECT measurement, severity, limit_value FROM raw.limits WHERE measurement = 'temperature' ORDER BY 3"
    ).fetchall()
    assert limits == [("temperature", "warning", 80.0), ("temperature", "emergency", 90.0)]


@pytest.mark.parametrize(
    "change", [{"unit": "K"}, {"node": "nsu=urn:x;s=T2"}, {"position": "inlet"}, {"measurement": "pressure"}]
)
def test_a_tag_that_means_something_else_has_a_new_id(
    warehouse: Settings, admin: psycopg.Connection, change: dict[str, str]
) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    before = current(admin)
    later = T0 + timedelta(hours=1)
    result = sync_plant(warehouse, plant(PUMP=with_tag(0, **change)), later)
    after = current(admin)
    assert after["nsu=urn:x;s=V"] == before["nsu=urn:x;s=V"]
    assert after[change.get("node", "nsu=urn:x;s=T")] not in before.values()
    old = admin.execute("SELECT valid_to FROM raw.tags WHERE tag_id = %s", (before["nsu=urn:x;s=T"],)).fetchone()
    assert old == (later,)
    assert result.unchanged == 1


def test_two_tags_may_swap_their_nodes(warehouse: Settings, admin: psycopg.Connection) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    tags = [
        {"node": "nsu=urn:x;s=V", "measurement": "temperature", "unit": "°C"},
        {"node": "nsu=urn:x;s=T", "measurement": "vibration", "unit": "mm/s"},
    ]
    assert counts(sync_plant(warehouse, plant(PUMP={**PUMP, "tags": tags}), T0 + timedelta(hours=1))) == (0, 2, 0, 0)
    assert admin.execute("SELECT count(*) FROM raw.tags").fetchone() == (4,)


def test_what_is_removed_is_retired_and_comes_back_as_new(warehouse: Settings, admin: psycopg.Connection) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP, FAN={**PUMP, "tags": [{"node": "i=99", "measurement": "speed"}]}), T0)
    before = current(admin)
    later = T0 + timedelta(hours=1)
    assert counts(sync_plant(warehouse, plant(PUMP=PUMP), later)) == (0, 0, 1, 2)
    assert admin.execute("SELECT equipment_id FROM raw.equipment WHERE retired_at = %s", (later,)).fetchall() == [
        ("FAN",)
    ]
    sync_plant(warehouse, plant(PUMP=PUMP, FAN={**PUMP, "tags": [{"node": "i=99", "measurement": "speed"}]}), later)
    assert admin.execute("SELECT count(*) FROM raw.equipment WHERE retired_at IS NULL").fetchone() == (2,)
    assert current(admin)["i=99"] != before["i=99"]


def test_how_states_read_changes_no_id(warehouse: Settings, admin: psycopg.Connection) -> None:
    state = {
        "node": "i=7",
        "measurement": "run_state",
        "role": "state",
        "data_type": "string",
        "states": {"1": "running"},
    }
    sync_plant(warehouse, plant(PUMP={**PUMP, "tags": [state]}), T0)
    before = current(admin)
    sync_plant(warehouse, plant(PUMP={**PUMP, "tags": [{**state, "states": {"1": "idle"}}]}), T0)
    assert current(admin) == before
    assert admin.execute("SELECT states FROM raw.tags").fetchone() == ({"1": "idle"},)


def test_plants_leave_each_other_alone(warehouse: Settings, admin: psycopg.Connection) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    other = plant(FAN={**PUMP, "tags": [{"node": "i=5", "measurement": "speed"}]}).model_copy(update={"plant_id": "P2"})
    assert counts(sync_plant(warehouse, other, T0)) == (1, 0, 0, 0)
    assert len(current(admin)) == 3
    with pytest.raises(IngestError, match="already belongs to plant 'P1'"):
        sync_plant(warehouse, plant(PUMP=PUMP).model_copy(update={"plant_id": "P3"}), T0)
    with pytest.raises(IngestError, match="already a tag of plant 'P1'"):
        sync_plant(warehouse, plant(OTHER=PUMP).model_copy(update={"plant_id": "P3"}), T0)
    assert admin.execute("SELECT count(*) FROM raw.plants").fetchone() == (2,)


def test_limits_are_rows_with_how_patient_their_alarms_are(warehouse: Settings, admin: psycopg.Connection) -> None:
    limits = {
        "high": {"warning": 80, "emergency": 90},
        "falling": {"critical": 5},
        "hysteresis": 3,
        "on_delay_s": 7,
        "off_delay_s": 9,
    }
    sync_plant(warehouse, plant(PUMP=with_tag(0, limits=limits)), T0)
    rows = admin.execute(
        "SELECT direction, severity, limit_value, hysteresis, on_delay_s, off_delay_s, deduplication_s, rate_window_s"
        " FROM raw.limits WHERE measurement = 'temperature' ORDER BY limit_value"
    ).fetchall()
    assert rows == [
        ("falling", "critical", 5, 0.1, 7, 9, 300, 60),
        ("high", "warning", 80, 3, 7, 9, 300, None),
        ("high", "emergency", 90, 3, 0, 9, 300, None),
    ]
