"""The exports fit the tables they are loaded into: columns, types, keys and checks."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from ingest.files.contracts import CONTRACTS
from ingest.plant import load_plant
from simulator.history import write_history

PLANT = Path(__file__).parents[3] / "plant.yml"


def copy(connection: psycopg.Connection, path: Path, schema: str, table: str) -> int:
    with path.open() as file:
        columns = next(csv.reader(file))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as into:
        into.write(path.read_bytes())
    return int(
        connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()[0]
    )


def test_every_export_copies_into_its_table(admin: psycopg.Connection, tmp_path: Path) -> None:
    write_history(load_plant(PLANT), 7, 25, datetime(2026, 1, 31, tzinfo=UTC), tmp_path)
    for table in CONTRACTS:
        assert copy(admin, tmp_path / f"{table}.csv", "raw", table) > 0, table
    recommendations = copy(admin, tmp_path / "past_recommendations.csv", "serving", "recommendations_serving")
    answers = copy(admin, tmp_path / "operator_answers.csv", "serving", "operator_answers")
    assert recommendations == answers > 0
    known = admin.execute(
        "SELECT count(*) FROM raw.cmms_work_orders WHERE available_at > '2026-01-31' OR completed_at > available_at"
    ).fetchone()
    assert known == (0,)
    # What came out is what the belts carried: hours in which the machine ran throughout agree with what its order is to
    # make in them. The order's rate is the machine's best, so the OEE of no shift is above 1.
    share = admin.execute(
        "SELECT avg(c.produced_quantity / (o.planned_quantity * 3600"
        "  / extract(EPOCH FROM o.planned_end - o.planned_start))),"
        " avg(c.produced_quantity / o.planned_rate) FROM raw.mes_production_counts AS c"
        " JOIN raw.mes_production_orders AS o USING (order_id) WHERE NOT EXISTS (SELECT FROM raw.mes_downtime AS d"
        " WHERE d.equipment_id = c.equipment_id AND d.ends_at > c.from_ts"
        " AND d.starts_at < c.to_ts + interval '1 hour')"
    ).fetchone()
    assert share is not None
    assert 0.9 < share[0] < 1.1
    assert 0.8 < share[1] < 0.95
    best = admin.execute(
        "SELECT max(oee) FROM (SELECT sum(c.good_quantity) / sum(o.planned_rate) AS oee"
        " FROM raw.mes_production_counts AS c JOIN raw.mes_production_orders AS o USING (order_id)"
        " JOIN raw.mes_shifts AS s ON s.starts_at <= c.from_ts AND c.to_ts <= s.ends_at"
        " GROUP BY c.equipment_id, s.shift_id) AS shifts"
    ).fetchone()
    assert best is not None
    assert 0.9 < best[0] <= 1
    stood = admin.execute(
        "SELECT max(c.produced_quantity / o.planned_rate) FROM raw.mes_production_counts AS c"
        " JOIN raw.mes_production_orders AS o USING (order_id) JOIN raw.mes_downtime AS d"
        " ON d.equipment_id = c.equipment_id AND d.ends_at >= c.to_ts"
        " AND d.starts_at <= c.from_ts - interval '30 minutes'"
    ).fetchone()
    assert stood is not None
    assert stood[0] < 0.02
    unknown = admin.execute(
        "SELECT count(*) FROM raw.cmms_maintenance AS m LEFT JOIN raw.cmms_work_orders AS w USING (work_order_id)"
        " WHERE w.work_order_id IS NULL"
    ).fetchone()
    assert unknown == (0,)
    ahead = admin.execute(
        "SELECT count(DISTINCT f.failure_id) FROM raw.cmms_failures AS f JOIN raw.cmms_errors AS e"
        " ON e.equipment_id = f.equipment_id AND e.occurred_at BETWEEN f.failed_at - interval '4 days' AND f.failed_at"
    ).fetchone()
    assert ahead is not None
    assert ahead[0] > 0
    # The live plant goes on where the past ends: what is planned for it is known by then.
    ahead = admin.execute(
        "SELECT (SELECT max(ends_at) - '2026-01-31' FROM raw.mes_shifts) >= interval '14 days',"
        " (SELECT max(ends_at) - '2026-01-31' FROM raw.mes_schedules) >= interval '2 days',"
        " (SELECT count(DISTINCT status) FROM raw.mes_production_orders),"
        " (SELECT max(available_at) <= '2026-01-31' FROM (SELECT available_at FROM raw.mes_shifts UNION ALL"
        "  SELECT available_at FROM raw.mes_schedules UNION ALL SELECT available_at FROM raw.mes_production_orders)),"
        " (SELECT count(*) FROM (SELECT starts_at < lag(ends_at) OVER (PARTITION BY equipment_id"
        "  ORDER BY starts_at) AS o"
        "  FROM raw.mes_schedules) WHERE o)"
    ).fetchone()
    assert ahead == (True, True, 3, True, 0)
