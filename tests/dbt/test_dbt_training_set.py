"""What models learn from: the vector of the time, and nothing that became available later."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from ml.features import FEATURES
from ml.learning import sampling
from ml.policy import Policy
from tests.dbt.arrivals import history
from tests.dbt.site import MINUTE, OTHER_TEMPERATURE, START, STATE, TEMPERATURE, Site, day, land

GRACE = timedelta(minutes=10)
FROM = START + timedelta(hours=1)
CUT = FROM + timedelta(minutes=90)
# Scored within the minute; a late reading changed its window afterwards.
SCORED = CUT - timedelta(minutes=30)
NEXT_FAULT = ("next_fault_at", "next_fault_mode", "is_next_fault_a_failure", "next_fault_known_at", "hours_to_fault")
Rows = dict[tuple[str, datetime], dict[str, Any]]


@dataclass(frozen=True)
class Seen:
    """The training set's usable rows, the mart's, and those of a sample as of CUT.

    Without `available_at`: a vector has the time of its score or, where nothing was late, the earlier one of the mart.
    """

    rows: Rows
    mart: Rows
    drawn: dict[tuple[str, datetime], tuple[float | None, ...]]


def look(site: Site) -> Seen:
    def keyed(table: str, where: str = "true") -> Rows:
        rows = site.rows(table, "equipment_id, window_end", where)
        return {(row["equipment_id"], row["window_end"]): row for row in rows if row.pop("available_at")}

    policy = Policy(max_normal_rows=80_000, grace_minutes=10)
    windows = sampling.draw(site.admin, CUT, policy).rows.windows
    drawn = {
        (str(windows.equipment[i]), windows.end(i)): tuple(None if math.isnan(x) else float(x) for x in windows.x[i])
        for i in range(len(windows))
    }
    usable = "available_at <= window_end + interval '10 minutes'"
    return Seen(keyed("marts.ml_training_set", usable), keyed("marts.gold_ml_features"), drawn)


def keep_score(admin: psycopg.Connection, vector: dict[str, float | None]) -> None:
    admin.execute(
        """
        WITH scored AS (
            INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code,
                confidence, moment, scored_at)
            VALUES ('A', %s, '1', 'champion', 0.1, 'continue_operation', 0.9, %s, %s) RETURNING score_id
        )
        INSERT INTO ml.scored_features (score_id, equipment_id, window_end, features, contract)
        SELECT score_id, 'A', %s, %s, 'any' FROM scored
        """,
        (SCORED, SCORED, SCORED + timedelta(seconds=20), SCORED, json.dumps(vector)),
    )


@pytest.fixture(scope="module")
def seen(site: Site) -> tuple[Seen, Seen]:
    """What there is with nothing that became available after CUT, then with all of it."""
    land(site.admin, history(START - timedelta(hours=9), 4 * 60, seed=1))
    readings = [reading for reading in day(FROM, 90, seed=5) if reading[0] != STATE]
    chance = random.Random(6)
    late = [reading for reading in readings if chance.random() < 0.02]
    # And those of a machine that was out of reach for a while.
    away = [r for r in readings if r[0] == OTHER_TEMPERATURE and FROM + 20 * MINUTE <= r[1] < FROM + 30 * MINUTE]
    late += [reading for reading in away if reading not in late]
    late.append((TEMPERATURE, SCORED - MINUTE, 90.0, None, 0, 11))
    land(site.admin, [reading for reading in readings if reading not in late])
    # C's maintenance and D's state are told late, and no reading is: hours run change in windows that are whole.
    site.admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES"
        " ('C', 'P', 'C', 'pump'), ('D', 'P', 'D', 'pump')"
    )
    told = site.admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, role, data_type) VALUES"
        " ('s', 'n7', 'C', 'temperature', 'measurement', 'double'),"
        " ('s', 'n8', 'D', 'temperature', 'measurement', 'double'),"
        " ('s', 'n9', 'D', 'run_state', 'state', 'string') RETURNING tag_id"
    ).fetchall()
    of_c, of_d, state_of_d = (tag for (tag,) in told)
    land(site.admin, [(tag, FROM + n * MINUTE, 60.0, None, 0, n) for tag in (of_c, of_d) for n in range(90)])
    land(site.admin, [(state_of_d, FROM, None, "running", 0, 1)])
    for n, state in ((40, "stopped"), (45, "running")):
        late.append((state_of_d, FROM + n * MINUTE, None, state, 0, n))
    site.transform(CUT, "+tag:minute +ml_training_set")
    keep_score(site.admin, dict.fromkeys(FEATURES, 0.123))
    before = look(site)
    land(site.admin, late, delay=timedelta(hours=2))
    at = {"at": FROM + 40 * MINUTE, "to": FROM + 45 * MINUTE, "known": CUT + timedelta(hours=8)}
    site.admin.execute(
        "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, opened_at, started_at, completed_at,"
        " available_at) SELECT 'W' || machine, machine, 'preventive', %(at)s, %(at)s, %(to)s, %(known)s"
        " FROM unnest(ARRAY['A', 'C']) AS machine",
        at,
    )
    # What B was planned for, and what it failed and erred in, is told late too.
    site.admin.execute(
        "INSERT INTO raw.mes_schedules (schedule_id, equipment_id, planned_state, starts_at, ends_at, available_at)"
        " VALUES ('S', 'B', 'idle', %(at)s, %(to)s, %(known)s)",
        at,
    )
    site.admin.execute(
        "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, repaired_at,"
        " available_at) VALUES ('F', 'B', 'bearing', 'bearing_wear', %(at)s, %(to)s, %(known)s)",
        at,
    )
    site.admin.execute(
        "INSERT INTO raw.cmms_errors (error_id, equipment_id, error_code, occurred_at, available_at)"
        " VALUES ('E', 'B', 'E1', %(at)s, %(known)s)",
        at,
    )
    site.transform(CUT + timedelta(hours=9))
    return before, look(site)


def test_the_training_set_has_the_models_features_in_their_order(site: Site, seen: tuple[Seen, Seen]) -> None:
    columns = site.admin.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'marts.ml_training_set'::regclass AND attnum > 0"
        " ORDER BY attnum"
    ).fetchall()
    assert tuple(name for (name,) in columns)[5 : 5 + len(FEATURES)] == FEATURES


def test_no_training_row_changes_with_what_became_available_later(seen: tuple[Seen, Seen]) -> None:
    before, after = seen
    changed = {key for key, row in after.mart.items() if row != before.mart.get(key)}
    assert len(changed) > 100, "the late rows did change windows"
    compared = {key: row for key, row in after.rows.items() if key[1] + GRACE <= CUT}
    assert len(compared) > 100
    assert {machine for machine, _ in compared} == set("ABCD")
    told = {key for key, row in compared.items() if (known := row["next_fault_known_at"]) and known > CUT}
    assert {machine for machine, _ in told} == {"B"}, "a label says when it was known"
    for key in told:
        compared[key] |= dict.fromkeys(NEXT_FAULT)
    assert compared == {key: before.rows.get(key) for key in compared}
    assert {key for key in compared if key in changed} == {("A", SCORED)}, "what changed is left out, but for vectors"


def test_a_window_that_was_scored_is_learnt_as_it_was_scored(seen: tuple[Seen, Seen]) -> None:
    for look_back in seen:
        row = look_back.rows["A", SCORED]
        assert row["vector_from"] == "scored"
        assert {row[name] for name in FEATURES} == {0.123}


def test_a_sample_of_the_past_changes_no_row(seen: tuple[Seen, Seen]) -> None:
    before, after = seen
    drawn = {key: x for key, x in after.drawn.items() if key[1] + GRACE <= CUT}
    assert len(drawn) > 20 and ("A", SCORED) in drawn
    assert drawn == {key: before.drawn.get(key) for key in drawn}
