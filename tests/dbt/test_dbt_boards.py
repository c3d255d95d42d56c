"""What people look at: the dashboards' queries on data, who may read, and what a rebuild leaves standing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from bench.boards import FILES, cards, measure
from tests.dbt.site import BASES, MINUTE, Site, land
from warehouse.roles import Role, connect
from warehouse.settings import HOME

DATA = Path(__file__).with_name("boards.sql")
MARTS = (
    "dim_equipment", "dim_plant", "dim_date", "dim_defect_types", "fact_sensor_readings", "fact_equipment_events",
    "fact_quality_inspections", "fact_production_metrics", "mart_equipment_health", "mart_predictive_maintenance",
    "mart_quality_dashboard", "mart_production_kpis", "mart_model_performance", "mart_pipeline_metrics",
    "mart_business_impact", "silver_enriched_sensors", "gold_ml_features",
)  # fmt: skip


@pytest.fixture(scope="module")
def boards(site: Site) -> Site:
    """The whole project built once over four days up to now, for the dashboards ask for the last days."""
    moment = datetime.now(UTC).replace(second=0, microsecond=0)
    site.admin.execute("SELECT raw.ensure_partitions(%s, %s)", (moment - timedelta(days=4), moment))
    for statement in DATA.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            site.admin.execute(statement, {"moment": moment})  # type: ignore[call-overload]
    land(
        site.admin,
        [
            (tag, moment - minute * MINUTE, base + minute % 3, None, 0, minute)
            for tag, base in BASES.items()
            # The last hours, and the same of the day before, which make a baseline for them.
            for minute in (*range(1, 180), *range(1441, 1620))
        ],
    )
    site.transform(moment, None)
    return site


@pytest.mark.parametrize(
    ("name", "title"), [(path.name, title) for path in FILES for title, _ in cards(path)], ids=lambda text: str(text)
)
def test_each_card_shows_something_to_bi(boards: Site, name: str, title: str) -> None:
    query = dict(cards(HOME / "metabase" / name))[title]
    with connect(boards.settings, Role.BI) as connection:
        found = connection.execute(query).fetchall()  # type: ignore[call-overload]
    assert found, f"{name}: {title}"
    assert any(value is not None for value in found[0])


def test_the_benchmark_times_every_card(boards: Site) -> None:
    with connect(boards.settings, Role.BI) as connection:
        found = measure(connection, 1)
    assert [name for name in found if name != "all"] == [path.stem for path in FILES]
    assert found["all"]["cards"] == sum(len(found[path.stem]) for path in FILES)
    assert all(value > 0 for figures in found.values() for value in figures.values())


def test_there_are_four_dashboards_and_each_is_an_exposure() -> None:
    names = [path.stem for path in FILES]
    assert names == ["equipment_health", "predictive_maintenance", "production_kpis", "quality"]
    exposures = (HOME / "dbt_project" / "models" / "marts" / "exposures.yml").read_text(encoding="utf-8")
    for name in names:
        assert f"name: metabase_{name}\n" in exposures


def test_oee_is_what_the_shifts_say(boards: Site) -> None:
    with boards.admin.cursor(row_factory=dict_row) as cursor:
        shifts = cursor.execute(
            "SELECT * FROM marts.mart_production_kpis WHERE equipment_id = 'A' ORDER BY starts_at"
        ).fetchall()
    assert len(shifts) == 12
    for shift in shifts:
        assert shift["run_minutes"] + shift["unplanned_downtime_minutes"] == pytest.approx(shift["planned_minutes"])
        assert shift["produced_quantity"] == pytest.approx(630)
        assert shift["quality"] == pytest.approx(0.9)
    # The first shift has no order, and its schedule's rate is one of the power: what it should yield isn't known.
    assert [shift["ideal_quantity"] for shift in shifts[:2]] == [None, pytest.approx(840)]
    # Four hours of a bearing fall on two shifts; the last of the first one's was not planned for production.
    assert sum(shift["unplanned_downtime_minutes"] for shift in shifts) == pytest.approx(3 * 60)
    assert sum(shift["planned_minutes"] for shift in shifts) == pytest.approx(12 * 7 * 60 - 60)
    whole = [shift for shift in shifts if shift["unplanned_downtime_minutes"] == 0][-1]
    assert whole["oee"] == pytest.approx(whole["performance"] * 0.9)


def test_a_machine_that_stands_for_good_loses_its_shift(boards: Site) -> None:
    row = boards.admin.execute(
        "SELECT unplanned_stops, run_minutes, planned_minutes, oee FROM marts.mart_production_kpis"
        " WHERE equipment_id = 'B' ORDER BY starts_at DESC LIMIT 1"
    ).fetchone()
    # The jam began in the hour after the plan; nothing of B is ever counted, so its OEE isn't known.
    assert row == (1, 420.0, 420.0, None)


def test_what_came_of_the_recommendations(boards: Site) -> None:
    row = boards.admin.execute(
        "SELECT sum(shown), sum(executed), sum(rejected), sum(confirmed), sum(false_alarms), sum(candidates)"
        " FROM marts.mart_model_performance"
    ).fetchone()
    # The rejected one was followed by a failure within the 48 hours.
    assert row == (4, 2, 1, 3, 0, 5)
    impact = boards.admin.execute(
        "SELECT sum(failures), sum(detected), max(mean_minutes_to_detect), sum(failures_prevented),"
        " sum(downtime_prevented_h), sum(cost_prevented) FROM marts.mart_business_impact"
    ).fetchone()
    # The failure was 50 hours ago. The first sign, 62 hours ago, was held back; the next was shown two hours and 12
    # seconds later. Four hours is what the only failure took to repair, at 1,000 an hour.
    assert impact == (1, 1, pytest.approx(120.2), 1, pytest.approx(4), pytest.approx(4000))


def test_bi_and_scoring_read_marts_and_nobody_else_does(boards: Site) -> None:
    for role in (Role.BI, Role.SCORE):
        with connect(boards.settings, role) as connection:
            for mart in MARTS:
                connection.execute(f"SELECT * FROM marts.{mart} LIMIT 1")  # type: ignore[call-overload]
    for role in (Role.OPERATOR, Role.INGEST):
        with connect(boards.settings, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM marts.mart_production_kpis")


def test_descriptions_are_in_the_database(boards: Site) -> None:
    silent = boards.admin.execute(
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = 'marts'::regnamespace AND c.relname = ANY(%s) AND NOT a.attisdropped"
        " AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)",
        (list(MARTS),),
    ).fetchall()
    assert silent == []


def test_what_stands_on_a_view_outlives_its_rebuild(boards: Site) -> None:
    standing = (
        "SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relnamespace = 'marts'::regnamespace AND relkind = 'v'"
    )
    before = boards.admin.execute(standing).fetchone()
    boards.transform(datetime.now(UTC), "stg_equipment stg_scores dim_plant")
    assert boards.admin.execute(standing).fetchone() == before
    # A column that goes away takes the dependents along, as dbt always does.
    boards.admin.execute("DROP VIEW staging.stg_scores CASCADE")
    boards.admin.execute("CREATE VIEW staging.stg_scores AS SELECT *, 1 AS gone FROM ml.scores")
    boards.admin.execute("ALTER VIEW staging.stg_scores OWNER TO millwright_transform")
    boards.transform(datetime.now(UTC), "stg_scores mart_equipment_health mart_predictive_maintenance")
    assert boards.admin.execute("SELECT count(*) FROM marts.mart_equipment_health").fetchone() == (2,)


def test_the_latest_score_is_found_by_index(boards: Site) -> None:
    with connect(boards.settings, Role.BI) as connection:
        # On a table as small as this one Postgres would sort; where it may not, only an index in the right order helps.
        connection.execute("SET enable_sort = off; SET enable_seqscan = off; SET enable_bitmapscan = off")
        for mart in ("mart_equipment_health", "mart_predictive_maintenance"):
            rows = connection.execute(f"EXPLAIN SELECT equipment_id, anomaly_score FROM marts.{mart}")  # type: ignore[call-overload]
            plan = "\n".join(line for (line,) in rows)
            assert "Index Scan using scores_equipment" in plan
            assert "Sort Key: scores" not in plan, plan
