"""What a run reads: what its snapshot sees and the last one's did not, until every model is done."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.dbt.site import INSERT, MINUTE, OTHER_TEMPERATURE, START, TEMPERATURE, Site, day, land
from warehouse import transform
from warehouse.errors import WarehouseError
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MOVED = "SELECT snapshot::text, moved_at FROM ops.watermarks WHERE pipeline = 'transform'"


@pytest.fixture(scope="module", autouse=True)
def first_build(site: Site) -> None:
    """Twenty minutes, all of them read."""
    land(site.admin, day(START, 20, seed=4))
    site.transform(START + 20 * MINUTE, "+tag:minute")


def one(site: Site, query: str) -> tuple[Any, ...]:
    row = site.admin.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return tuple(row)


def counts(site: Site, minute: datetime) -> list[tuple[int, int]]:
    found = site.admin.execute(
        "SELECT tag_id, reading_count FROM intermediate.int_sensor_minutes WHERE minute = %s ORDER BY 1", (minute,)
    )
    return found.fetchall()


def test_a_first_build_leaves_statistics_to_the_runs_that_follow(site: Site) -> None:
    """Without them the planner takes a third of all rows for new, and what is joined to them for more still."""
    known = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'intermediate'"
    rolled_up = {("int_sensor_minutes",), ("int_equipment_minutes",), ("int_sensor_hours",)}
    assert rolled_up <= set(site.admin.execute(known).fetchall())


def test_two_first_updates_make_their_index_one_after_the_other(site: Site) -> None:
    """A stands for the other run: it has made the index, and is about to write what the run under test would index."""
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'intermediate.int_sensor_minutes'::regclass"
    with connect(site.settings, Role.TRANSFORM) as other, ThreadPoolExecutor(1) as pool:
        other.execute("CREATE INDEX int_sensor_minutes_built_xid ON intermediate.int_sensor_minutes (built_xid)")
        run = pool.submit(site.attempt, START + 20 * MINUTE, "tag:minute")
        deadline = time.monotonic() + 60
        while site.admin.execute(waits).fetchone() == (0,):
            assert time.monotonic() < deadline and not run.done()
            time.sleep(0.05)
        other.execute("DELETE FROM intermediate.int_sensor_minutes WHERE tag_id < 0")
        other.commit()
        result = run.result()
    assert result.succeeded, result.failures


def test_a_minute_waits_for_another_runs_model_and_no_longer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform, "MINUTE_WAIT_S", 0.1)
    with connect(site.settings, Role.TRANSFORM) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(hashtext('millwright minute'))")
        with pytest.raises(WarehouseError, match="another run of dbt has been at one of the minute's tables"):
            site.attempt(START + 20 * MINUTE, "tag:minute")


def test_another_run_waits_for_a_minute_and_leaves_the_watermark_where_that_moved_it(site: Site) -> None:
    """`minute` stands for one of Millwright's; what isn't the minute path alone may be a daily run or the dbt CLI's.

    Were `minute` as long a run that goes on, it would find what the older one put over its own as news: that may fail.
    """
    at = START + 30 * MINUTE
    land(site.admin, [(TEMPERATURE, at, 60.0, None, 0, 1)])
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    with connect(site.settings, Role.TRANSFORM) as minute, ThreadPoolExecutor(1) as pool:
        minute.execute("SELECT pg_advisory_xact_lock(hashtext('millwright minute'))")
        run = pool.submit(site.attempt, START + 20 * MINUTE, "tag:minute stg_plants")
        deadline = time.monotonic() + 60
        while site.admin.execute(waits).fetchone() == (0,):
            assert time.monotonic() < deadline and not run.done()
            time.sleep(0.05)
        site.admin.execute("SELECT pg_current_xact_id()")
        site.admin.execute("UPDATE ops.watermarks SET snapshot = pg_current_snapshot() WHERE pipeline = 'transform'")
        moved = site.admin.execute(MOVED).fetchone()
        minute.commit()
        result = run.result()
    assert result.succeeded, result.failures
    assert site.admin.execute(MOVED).fetchone() == moved
    for table in ("int_sensor_minutes", "int_equipment_minutes"):
        is_news = (
            f"SELECT built_xid >= pg_snapshot_xmax(snapshot) FROM intermediate.{table}, ops.watermarks"
            " WHERE minute = %s AND pipeline = 'transform'"
        )
        assert site.admin.execute(is_news, (at,)).fetchall() == [(True,)]  # type: ignore[arg-type]


def test_a_minute_without_news_writes_nothing(site: Site) -> None:
    written = "SELECT equipment_id, window_end, built_xid::text FROM marts.gold_ml_features ORDER BY 1, 2"
    before = site.admin.execute(written).fetchall()  # type: ignore[call-overload]
    assert {row[0] for row in before} == {"A", "B"}
    site.transform(START + 21 * MINUTE)
    assert site.admin.execute(written).fetchall() == before  # type: ignore[call-overload]


def all_counted(site: Site) -> None:
    """Wait until the sessions of the runs are gone: what they read is counted at the latest as they end."""
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'millwright_transform'"
    )
    deadline = time.monotonic() + 30
    while one(site, left) != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_minute_reads_no_history(site: Site) -> None:
    """With statistics as of a year of hours, an index is worth it: whoever still reads a table whole can't do else.

    And whoever reads months by the index: B has them, of too few minutes that count for a baseline.
    """
    tables = ("int_sensor_minutes", "int_equipment_minutes", "int_sensor_hours", "int_baselines")
    months = 2000
    site.admin.execute(
        "INSERT INTO intermediate.int_sensor_hours (tag_id, hour, regime, minute_count, built_xid)"
        " SELECT %s, %s::timestamptz - n * interval '1 hour', 2, 0, '3' FROM generate_series(1, %s) AS n",
        (OTHER_TEMPERATURE, START, months),
    )
    fetched = (
        "SELECT idx_tup_fetch FROM pg_stat_user_tables"
        " WHERE schemaname = 'intermediate' AND relname = 'int_sensor_hours'"
    )
    read_whole = (
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables"
        " WHERE schemaname = 'intermediate' AND relname = ANY(%s) ORDER BY 1"
    )
    for minute in (30, 31):
        at = START + minute * MINUTE
        land(site.admin, [(TEMPERATURE, at, 60.0 + minute, None, 0, minute)])
        if minute == 31:
            for table in tables:
                site.admin.execute(
                    "SELECT pg_restore_relation_stats('schemaname', 'intermediate', 'relname', %s::text,"
                    " 'reltuples', 1e8::real)",
                    (table,),
                )
            all_counted(site)
            before = site.admin.execute(read_whole, (list(tables),)).fetchall()
            (fetched_before,) = one(site, fetched)
        site.transform(at + MINUTE)
    all_counted(site)
    (fetched_after,) = one(site, fetched)
    assert fetched_after - fetched_before < months / 10
    assert site.admin.execute(read_whole, (list(tables),)).fetchall() == before
    for table in tables:
        site.admin.execute(f"ANALYZE intermediate.{table}")  # type: ignore[call-overload]


def test_a_slow_transaction_is_read_and_an_open_one_stalls_nothing(site: Site, cluster: Settings) -> None:
    at = START + timedelta(hours=1)
    with connect(site.settings, Role.ADMIN) as slow, connect(cluster, Role.ADMIN) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        slow.execute(INSERT, (TEMPERATURE, at, 70.0, None, 0, 2, at))  # type: ignore[arg-type]
        land(site.admin, [(OTHER_TEMPERATURE, at, 40.0, None, 0, 3)])
        site.transform(at + MINUTE)
        assert counts(site, at) == [(OTHER_TEMPERATURE, 1)]
        later = at + timedelta(seconds=1)
        slow.execute(INSERT, (TEMPERATURE, later, 80.0, None, 0, 4, at))  # type: ignore[arg-type]
        slow.commit()
        site.transform(at + 2 * MINUTE)
        elsewhere.rollback()
    assert counts(site, at) == [(TEMPERATURE, 2), (OTHER_TEMPERATURE, 1)]


def test_a_run_after_failed_ones_repeats_what_they_left(site: Site) -> None:
    """One fails behind the roll-up of tags, one behind new baselines: what they wrote is followed all the same."""
    at, before_yesterday = START + timedelta(hours=2), START - timedelta(hours=36)
    before = site.admin.execute(MOVED).fetchone()
    land(site.admin, [(OTHER_TEMPERATURE, at, 40.0, None, 0, 2)])
    land(site.admin, [(OTHER_TEMPERATURE, before_yesterday + n * MINUTE, 40.0 + n % 2, None, 0, n) for n in range(70)])
    first, gap = one(
        site,
        "SELECT min(minute), max(minute) FROM intermediate.int_sensor_minutes"
        f" WHERE tag_id = {OTHER_TEMPERATURE} AND minute < '{START + 20 * MINUTE}'",
    )
    site.admin.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'away')",
        (OTHER_TEMPERATURE, gap + timedelta(seconds=50), gap + MINUTE),
    )
    for table, clock in (("intermediate.int_equipment_minutes", "minute"), ("marts.gold_ml_features", "window_end")):
        never = f"ALTER TABLE {table} ADD CONSTRAINT never CHECK ({clock} < '2026-01-01') NOT VALID"
        site.admin.execute(never)  # type: ignore[call-overload]
        failed = site.attempt(at + MINUTE, "tag:minute")
        assert not failed.succeeded
        assert [line.split(":")[0] for line in failed.failures] == [table.split(".")[1]]
        assert counts(site, at) == [(OTHER_TEMPERATURE, 1)], "the models before it are done"
        assert site.admin.execute(MOVED).fetchone() == before
        site.admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT never")  # type: ignore[call-overload]
    assert one(site, "SELECT count(*) FROM intermediate.int_baselines") == (2,)
    site.transform(at + 2 * MINUTE)
    assert site.admin.execute(MOVED).fetchone() != before
    gold = "SELECT equipment_id FROM marts.gold_ml_features WHERE window_end > %s"
    assert site.admin.execute(gold, (at,)).fetchall() == [("B",)]
    gaps = "SELECT gap_seconds FROM intermediate.int_equipment_minutes WHERE equipment_id = 'B' AND minute = %s"
    assert site.admin.execute(gaps, (gap,)).fetchall() == [(10,)]
    for mart, deviation in (("silver_enriched_sensors", "z_score"), ("gold_ml_features", "temperature_deviation_5m")):
        seen = f"SELECT {deviation} IS NOT NULL FROM marts.{mart} WHERE equipment_id = 'B' AND window_end = %s"
        assert site.admin.execute(seen, (first + MINUTE,)).fetchall() == [(True,)]  # type: ignore[arg-type]


def test_a_watermark_of_another_cluster_is_replaced_however_far_it_is(site: Site) -> None:
    site.admin.execute("UPDATE ops.watermarks SET snapshot = '9000000000:9000000000:', system_identifier = 1")
    site.transform(START + timedelta(hours=3), "tag:minute")
    assert site.admin.execute("SELECT count(*) FROM ops.transform_runs WHERE since IS NULL").fetchone() == (2,)
    mark = "SELECT w.snapshot::text FROM ops.watermarks AS w JOIN pg_control_system() USING (system_identifier)"
    last = "SELECT until::text FROM ops.transform_runs ORDER BY started_at DESC LIMIT 1"
    assert site.admin.execute(mark).fetchone() == site.admin.execute(last).fetchone()
