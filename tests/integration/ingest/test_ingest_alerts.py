"""Alerts in the landing transaction: one a cause, by value and by timer, through operators' answers and restarts."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
import pytest

from ingest.plant import Plant
from ingest.tags import sync_plant
from tests.integration.ingest.test_ingest_tags import PUMP, plant
from tests.integration.ingest.test_ingest_writer import T0, Landing, Value
from warehouse.roles import Role, connect
from warehouse.settings import Settings

HIGH = {"high": {"warning": 80, "critical": 85, "emergency": 90}}


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def pump(**limits: Any) -> Plant:
    """A pump with a temperature T and a vibration V; `limits` are the temperature's."""
    temperature, vibration = cast(list[dict[str, Any]], PUMP["tags"])
    return plant(PUMP={**PUMP, "tags": [{**temperature, "limits": {**HIGH, **limits}}, vibration]})


Start = Callable[..., Landing]


@pytest.fixture
def start(warehouse: Settings) -> Iterator[Start]:
    """Start a worker on a pump whose temperature has these limits besides 80/85/90; it takes the place of the last."""
    made: list[Landing] = []

    def begin(described: Plant | None = None, **limits: Any) -> Landing:
        for earlier in made:
            earlier.writer.close()
        made.append(Landing(warehouse, described or pump(**limits)))
        return made[-1]

    yield begin
    for landing in made:
        landing.writer.close()


def land(landing: Landing, *values: Value, received: float | None = None, moment: float | None = None) -> int:
    """Land values that were received with the last of them, or `received` seconds after T0."""
    latest = max(value[1] for value in values) if received is None else received
    batch = landing.batch(*values, received=at(latest))
    return landing.writer.land([batch], at(latest if moment is None else moment)).transitions


def alerts(admin: psycopg.Connection, what: str = "severity, state, transitions") -> list[Any]:
    return admin.execute(f"SELECT {what} FROM serving.critical_alerts ORDER BY alert_id").fetchall()


def test_a_crossing_raises_escalates_and_clears(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    assert land(landing, ("T", 1, 79.0)) == 0
    assert land(landing, ("T", 2, 81.0), ("T", 3, 82.0)) == 1
    assert alerts(admin) == [("warning", "active", 1)]
    land(landing, ("T", 4, 91.2))
    assert alerts(admin, "severity, state, cleared_because, replaces IS NOT NULL") == [
        ("warning", "cleared", "escalated", False),
        ("emergency", "active", None, True),
    ]
    assert alerts(admin, "action_code, recommendation_text") == [
        ("preventive_inspection", "temperature 81.0 °C above its warning limit 80 °C"),
        ("emergency_shutdown", "temperature 91.2 °C above its emergency limit 90 °C"),
    ]
    assert land(landing, ("T", 5, 89.5)) == 0  # inside, but not by the hysteresis
    land(landing, ("T", 6, 70.0))
    assert alerts(admin, "severity, state, cleared_because")[1] == ("emergency", "cleared", "returned")


def test_a_jump_over_three_limits_is_one_alert(start: Start, admin: psycopg.Connection) -> None:
    assert land(start(), ("T", 1, 95.0)) == 1
    assert alerts(admin) == [("emergency", "active", 1)]


def test_what_eases_goes_on_with_the_operators_answer(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    land(landing, ("T", 1, 91.0))
    admin.execute("SELECT serving.acknowledge_alert(alert_id, 'me') FROM serving.critical_alerts")
    land(landing, ("T", 2, 86.0))
    assert alerts(admin, "severity, state, acknowledged_by, cleared_because") == [
        ("emergency", "cleared", "me", "eased"),
        ("critical", "acknowledged", "me", None),
    ]
    land(landing, ("T", 3, 95.0))  # severer again: that asks anew
    assert alerts(admin, "severity, state, acknowledged_by")[2] == ("emergency", "active", None)


def test_a_new_crossing_is_a_new_alert_but_not_within_five_minutes(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    for second, value in ((1, 81.0), (2, 70.0), (3, 81.0), (4, 70.0), (290, 81.0), (295, 70.0), (299, 70.0)):
        land(landing, ("T", second, value))
    assert alerts(admin) == [("warning", "cleared", 6)]
    land(landing, ("T", 302, 81.0))
    assert alerts(admin) == [("warning", "cleared", 6), ("warning", "active", 1)]


def test_what_stands_when_the_window_ends_is_raised_by_the_timer(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    for second, value in ((1, 81.0), (2, 70.0), (3, 81.0)):
        land(landing, ("T", second, value))
    assert landing.writer.tick(at(300)) == 0
    assert landing.writer.tick(at(301)) == 1
    assert alerts(admin) == [("warning", "cleared", 3), ("warning", "active", 1)]


def test_an_emergency_is_never_withheld_and_its_chatter_is_one_alert(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    for second in range(0, 50, 2):
        land(landing, ("T", second, 95.0), ("T", second + 1, 70.0))
    # The first had cleared before anybody could know; the second stays until a minute was quiet.
    assert alerts(admin) == [("emergency", "cleared", 2), ("emergency", "active", 48)]
    assert landing.writer.tick(at(108)) == 0
    assert landing.writer.tick(at(109)) == 1
    assert alerts(admin) == [("emergency", "cleared", 2), ("emergency", "cleared", 49)]


def test_delays_end_by_a_timer_though_nothing_more_is_sent(start: Start, admin: psycopg.Connection) -> None:
    landing = start(on_delay_s=10, off_delay_s=20)
    assert land(landing, ("T", 1, 82.0)) == 0
    assert landing.writer.tick(at(10.9)) == 0
    assert landing.writer.tick(at(11)) == 1
    assert alerts(admin, "severity, state, timestamp") == [("warning", "active", at(11))]
    assert land(landing, ("T", 30, 70.0)) == 0
    assert landing.writer.tick(at(49.9)) == 0
    assert landing.writer.tick(at(50)) == 1
    assert alerts(admin, "state, cleared_at") == [("cleared", at(50))]


def test_a_short_crossing_raises_nothing_but_an_emergency_does_not_wait(
    start: Start, admin: psycopg.Connection
) -> None:
    landing = start(on_delay_s=10)
    land(landing, ("T", 1, 88.0), ("T", 5, 70.0))
    landing.writer.tick(at(60))
    assert alerts(admin) == []
    assert land(landing, ("T", 61, 90.1)) == 1
    assert alerts(admin) == [("emergency", "active", 1)]


def test_a_bad_reading_clears_nothing(start: Start, admin: psycopg.Connection) -> None:
    landing = start(off_delay_s=10)
    land(landing, ("T", 1, 82.0))
    land(landing, ("T", 2, 70.0))
    land(landing, ("T", 3, 70.0, 0x80000000))
    landing.writer.tick(at(60))
    assert alerts(admin) == [("warning", "active", 1)]
    land(landing, ("T", 61, 70.0))
    landing.writer.tick(at(71))
    assert alerts(admin) == [("warning", "cleared", 2)]


def test_bad_late_and_historic_values_raise_nothing(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    land(landing, ("T", 1, 95.0, 0x80000000), ("T", 2, float("inf")))
    late, timely = landing.batch(("T", 3, 95.0)), landing.batch(("T", 299, 70.0), received=at(300))
    assert landing.writer.land([late, timely], at(300)).rows == 2
    history = landing.batch(("T", 310, 95.0), received=at(320), origin="history")
    landing.writer.land([history], at(320))
    landing.writer.tick(at(400))
    assert alerts(admin) == []


def test_what_a_late_spool_leaves_standing_is_raised_once_all_has_landed(
    start: Start, admin: psycopg.Connection
) -> None:
    landing = start()
    land(landing, ("V", 0, 4.5))
    # Both change while Postgres is away, and then nothing more is sent.
    assert land(landing, ("T", 3, 95.0), ("V", 4, 1.0), moment=300) == 0
    assert alerts(admin) == [("critical", "active", 1)]
    assert landing.writer.tick(at(301)) == 2
    assert alerts(admin) == [("critical", "cleared", 2), ("emergency", "active", 1)]


def test_values_that_come_out_of_order_are_history(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    land(landing, ("T", 10, 70.0))
    land(landing, ("T", 5, 95.0), received=11)
    # Buffered by the server through an outage: what was long ago is over, what is newest holds.
    land(landing, ("T", 20, 95.0), ("T", 21, 70.0), ("T", 22, 81.0), received=200)
    assert alerts(admin) == [("warning", "active", 1)]


def test_how_fast_a_value_changes_is_limited_too(start: Start, admin: psycopg.Connection) -> None:
    landing = start(rising={"warning": 5, "emergency": 20}, falling={"critical": 10})
    for second in range(0, 120, 10):
        assert land(landing, ("T", second, 50 + second / 15)) == 0  # 4 °C a minute
    land(landing, ("T", 120, 70.0))
    what = "severity, direction, state, unit, recommendation_text"
    assert alerts(admin, what) == [
        ("warning", "rising", "active", "°C/min", "temperature rises by 16.0 °C/min above its warning limit 5 °C/min")
    ]
    # It stays where it is, and a minute later it has not changed for a minute: no value says so.
    assert landing.writer.tick(at(179)) == 0
    assert landing.writer.tick(at(180)) == 1
    assert alerts(admin) == [("warning", "cleared", 2)]
    land(landing, ("T", 181, 50.0))
    assert alerts(admin, "severity, direction, state")[1:] == [("critical", "falling", "active")]


def test_a_restarted_worker_takes_up_its_alerts(start: Start, admin: psycopg.Connection) -> None:
    land(start(), ("T", 1, 91.0))
    admin.execute("SELECT serving.acknowledge_alert(alert_id, 'me') FROM serving.critical_alerts")
    again = start()
    assert land(again, ("T", 2, 92.0)) == 0
    assert alerts(admin) == [("emergency", "acknowledged", 1)]
    land(again, ("T", 3, 60.0), ("T", 4, 81.0))
    assert alerts(admin) == [("emergency", "cleared", 2)]  # a milder one of the same cause within five minutes


def test_a_restarted_worker_takes_up_its_delays(start: Start, admin: psycopg.Connection) -> None:
    delays = {"on_delay_s": 3000, "off_delay_s": 3000}
    landing = start(**delays)
    land(landing, ("T", 1, 82.0), ("V", 1, 1.0))
    land(landing, ("T", 700, 83.0))
    again = start(**delays)
    # From where the value crossed, not from its last: by its own next timestamp, or by our clock.
    land(again, ("T", 3002, 83.5))
    assert alerts(admin, "severity, state") == []
    again.writer.tick(datetime.now(T0.tzinfo) + timedelta(seconds=2990))
    assert alerts(admin) == []
    again.writer.tick(datetime.now(T0.tzinfo) + timedelta(seconds=3001))
    assert alerts(admin, "severity, state, timestamp") == [("warning", "active", at(3001))]


def test_a_restarted_worker_raises_what_was_withheld_or_left_standing(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    for second, value in ((1, 81.0), (2, 70.0), (3, 81.0)):
        land(landing, ("T", second, value))
    assert land(landing, ("V", 4, 9.0), moment=300) == 0  # late, and the worker dies before it has landed everything
    again = start()
    now = datetime.now(T0.tzinfo)
    assert again.writer.tick(now) == 1
    assert alerts(admin, "measurement, severity, state")[1:] == [("vibration", "emergency", "active")]
    assert again.writer.tick(now + timedelta(seconds=295)) == 0
    assert again.writer.tick(now + timedelta(seconds=305)) == 1
    assert alerts(admin, "measurement, severity, state")[2:] == [("temperature", "warning", "active")]


def test_an_acknowledgement_that_nobody_commits_stops_no_landing_for_long(
    start: Start, admin: psycopg.Connection, warehouse: Settings
) -> None:
    landing = start()
    land(landing, ("T", 1, 82.0))
    forgetful = connect(warehouse, Role.OPERATOR)
    forgetful.execute("SELECT acknowledge_alert(alert_id, 'op') FROM critical_alerts")
    assert land(landing, ("T", 2, 95.0)) == 1
    assert alerts(admin, "severity, state, acknowledged_by") == [
        ("warning", "cleared", None),
        ("emergency", "active", None),
    ]
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        forgetful.commit()
    forgetful.close()


def test_an_alert_whose_limit_is_gone_does_not_stand_for_ever(
    start: Start, admin: psycopg.Connection, warehouse: Settings
) -> None:
    land(start(), ("T", 1, 91.0), ("V", 1, 9.0))
    temperature = cast(list[dict[str, Any]], PUMP["tags"])[0]
    gone = plant(PUMP={**PUMP, "tags": [{**temperature, "limits": {}}]})
    sync_plant(warehouse, gone, at(5))
    start(gone).writer.connect()
    assert alerts(admin, "measurement, state, cleared_because") == [
        ("temperature", "cleared", "unwatched"),
        ("vibration", "cleared", "unwatched"),
    ]


def test_shelving_ends_by_itself(start: Start, admin: psycopg.Connection, warehouse: Settings) -> None:
    landing = start()
    land(landing, ("T", 1, 82.0), ("V", 1, 4.6))
    admin.execute("SELECT serving.acknowledge_alert(alert_id, 'me') FROM serving.critical_alerts WHERE value > 80")
    shelve = "SELECT serving.shelve_alert(alert_id, 'me', clock_timestamp() + interval '1 hour')"
    until = admin.execute(shelve + " FROM serving.critical_alerts").rowcount
    assert until == 2
    dashboard = "SELECT open_alerts, worst_alert, shelved_alerts FROM serving.hmi_dashboard"
    assert admin.execute(dashboard).fetchall() == [(0, None, 2)]
    with connect(warehouse, Role.OPERATOR, autocommit=True) as operator:
        operator.execute("LISTEN equipment_recommendations")
        now = datetime.now(T0.tzinfo)
        assert landing.writer.tick(now + timedelta(minutes=59)) == 0
        assert landing.writer.tick(now + timedelta(minutes=61)) == 2
        notes = [json.loads(note.payload) for note in operator.notifies(timeout=5, stop_after=2)]
    assert sorted(note["state"] for note in notes) == ["acknowledged", "active"]
    assert admin.execute(dashboard).fetchall() == [(2, "critical", 0)]


def test_what_is_shelved_until_a_time_that_is_over_counts_without_any_worker(
    start: Start, admin: psycopg.Connection
) -> None:
    landing = start()
    land(landing, ("T", 1, 82.0))
    landing.writer.close()
    admin.execute("UPDATE serving.critical_alerts SET state = 'shelved', shelved_until = clock_timestamp()")
    assert admin.execute("SELECT open_alerts, shelved_alerts FROM serving.hmi_dashboard").fetchall() == [(1, 0)]


def test_a_severer_crossing_is_not_hidden_by_shelving(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    land(landing, ("T", 1, 82.0))
    admin.execute("SELECT serving.shelve_alert(alert_id, 'me', '2999-01-01') FROM serving.critical_alerts")
    land(landing, ("T", 2, 91.0))
    assert alerts(admin, "severity, state") == [("warning", "cleared"), ("emergency", "active")]


def test_a_cleared_alert_never_becomes_active_again(start: Start, admin: psycopg.Connection) -> None:
    land(start(), ("T", 1, 82.0), ("T", 2, 70.0))
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="a cleared alert never becomes active again"):
        admin.execute("UPDATE serving.critical_alerts SET state = 'active'")


def test_a_landing_that_is_rolled_back_leaves_no_trace_in_the_alarms(start: Start, admin: psycopg.Connection) -> None:
    landing = start()
    land(landing, ("T", 1, 70.0))
    admin.execute("ALTER TABLE serving.critical_alerts RENAME TO gone")
    with pytest.raises(psycopg.errors.UndefinedTable):
        land(landing, ("T", 2, 95.0))
    admin.execute("ALTER TABLE serving.gone RENAME TO critical_alerts")
    assert land(landing, ("T", 2, 95.0)) == 1
    assert alerts(admin) == [("emergency", "active", 1)]


def test_a_lost_connection_loses_no_timer(start: Start, admin: psycopg.Connection) -> None:
    landing = start(on_delay_s=10)
    land(landing, ("T", 1, 82.0), ("V", 1, 9.0))
    landing.writer.close()
    assert landing.writer.tick(at(11)) == 1
    assert land(landing, ("V", 12, 9.1)) == 0
    assert sorted(alerts(admin)) == [("emergency", "active", 1), ("warning", "active", 1)]


def test_every_transition_is_announced_and_a_count_is_not(start: Start, warehouse: Settings) -> None:
    landing = start()
    with connect(warehouse, Role.OPERATOR, autocommit=True) as operator:
        operator.execute("LISTEN equipment_recommendations")
        for second in range(0, 20, 2):
            land(landing, ("T", second, 86.0), ("T", second + 1, 70.0))
        land(landing, ("T", 30, 95.0))
        notes = [json.loads(note.payload) for note in operator.notifies(timeout=5, stop_after=3)]
        assert list(operator.notifies(timeout=0.2)) == []
    assert [(note["severity"], note["state"], note["action_code"]) for note in notes] == [
        ("critical", "active", "preventive_inspection"),
        ("critical", "cleared", "preventive_inspection"),
        ("emergency", "active", "emergency_shutdown"),
    ]
    assert {"equipment_id", "timestamp", "recommendation_text"} <= notes[0].keys()
