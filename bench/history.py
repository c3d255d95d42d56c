"""A plant of any size with days of history, made on the server: what the minute path is measured on.

Raw readings at 1 Hz are landed for a few machines over a day, and dbt rolls them up. The models' own rows are then
copied to the other machines and to the days before, whatever their columns: a landing of all would be 345 million
readings a day at 1,000 machines. Of days before the newest only every `STEP`th minute is kept, and of the marts, which
the minute path writes and never reads, only keys; hours and baselines are whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from warehouse.roles import Role, connect
from warehouse.settings import Settings
from warehouse.transform import build

MEASUREMENTS: Final = ("power", "speed", "temperature", "vibration")
STEP: Final = 5
CLOCKS: Final = ("minute", "hour", "window_end")
BUILT = """
SELECT n.nspname, c.relname, c.relkind = 'p' FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname IN ('intermediate', 'marts') AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, 2
"""
INDEXES = """
SELECT indexdef, format('%%I.%%I', schemaname, indexname) FROM pg_indexes WHERE schemaname = %s AND tablename = %s
"""
COLUMNS = """
SELECT attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
PARTITIONS = """
SELECT ops.ensure_day_partitions({name}::regclass, array(
    SELECT DISTINCT r.utc_day - w.day
    FROM (SELECT DISTINCT ({clock} AT TIME ZONE 'UTC')::date AS utc_day FROM {table}) AS r CROSS JOIN ({whereto}) AS w
))
"""
COPY = "INSERT INTO {table} ({columns}) SELECT {values} FROM {table} AS r CROSS JOIN ({whereto}) AS w {where}"
PLANT = """
INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('BENCH', 'Bench', 'UTC');
INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type, load_measurement, rated_load)
SELECT 'M' || lpad(n::text, 6, '0'), 'BENCH', 'Machine ' || n, 'pump', 'power', 100
FROM generate_series(1, {equipment}) AS n;
INSERT INTO raw.tags (tag_id, server, node_id, equipment_id, measurement, data_type, valid_from) OVERRIDING SYSTEM VALUE
SELECT (n - 1) * {tags} + k, 'bench', 'n' || n || '-' || k, 'M' || lpad(n::text, 6, '0'), m, 'double', '2020-01-01Z'
FROM generate_series(1, {equipment}) AS n CROSS JOIN unnest({measurements}::text []) WITH ORDINALITY AS u (m, k);
INSERT INTO raw.sap_equipment (equipment_id, plant_id, model, commissioned_on, criticality, available_at)
SELECT equipment_id, 'BENCH', 'X1', '2020-01-01', 'B', '2020-01-01Z' FROM raw.equipment;
INSERT INTO raw.mes_shifts (shift_id, shift, starts_at, ends_at, available_at)
SELECT 's' || n, (ARRAY['night', 'early', 'late'])[1 + n % 3], at, at + interval '8 hours', at
FROM generate_series(0, 3 * {days} + 6) AS n
CROSS JOIN LATERAL (SELECT {begin} - interval '1 day' + n * interval '8 hours' AS at) AS shift;
INSERT INTO raw.mes_schedules
(schedule_id, equipment_id, order_id, product, planned_state, starts_at, ends_at, available_at)
SELECT 'o' || n || e.equipment_id, e.equipment_id, 'o' || n, 'ore', 'production', at, at + interval '1 day', at
FROM generate_series(0, {days} + 1) AS n
CROSS JOIN LATERAL (SELECT {begin} - interval '1 day' + n * interval '1 day' AS at) AS day
CROSS JOIN raw.equipment AS e;
INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, opened_at, started_at, completed_at, available_at)
SELECT 'w' || n || e.equipment_id, e.equipment_id, 'preventive', at, at, at + interval '1 hour', at
FROM generate_series(1, 3) AS n
CROSS JOIN LATERAL (SELECT {begin} - n * interval '30 days' AS at) AS visit
CROSS JOIN raw.equipment AS e;
INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, available_at)
SELECT 'f' || e.equipment_id, e.equipment_id, 'bearing', 'bearing_wear', {begin} - interval '40 days', {begin}
FROM raw.equipment AS e;
"""
# A slow wave of its own for every tag, and a saw-tooth of seconds on it. The order is that of time, as readings land.
READINGS = """
INSERT INTO raw.sensor_events (tag_id, source_ts, server_ts, value, status, digest, origin, available_at)
SELECT tag_id, ts, ts, value, 0, hashfloat8extended(value, tag_id), 'live', ts + interval '1 second'
FROM generate_series(%(begin)s::timestamptz, %(end)s::timestamptz - interval '1 second', interval '1 second') AS ts
CROSS JOIN generate_series(1, %(tags)s::integer) AS tag_id
CROSS JOIN LATERAL (
    SELECT 50 + tag_id %% 40 + 5 * sin(extract(EPOCH FROM ts)::double precision / 13750 + tag_id)
        + (extract(SECOND FROM ts)::double precision - 29.5) / 10 AS value
) AS v
"""


def make_plant(settings: Settings, equipment: int, sampled: int, days: int, hours: int, moment: datetime) -> None:
    """A plant of `equipment` machines with the `hours` up to `moment` rolled up, raw readings there for `sampled`.

    `days` is how far the shifts and schedules go back.
    """
    with connect(settings, Role.ADMIN, autocommit=True) as admin:
        admin.execute(
            sql.SQL(PLANT).format(
                equipment=equipment,
                tags=len(MEASUREMENTS),
                measurements=list(MEASUREMENTS),
                days=days,
                begin=moment - timedelta(days=days),
            )
        )
        admin.execute(
            "SELECT raw.ensure_partitions(%s, %s)", (moment - timedelta(days=1), moment + timedelta(hours=12))
        )
        for hour in range(hours):
            begin = moment - timedelta(hours=hours - hour)
            land(admin, sampled, begin, begin + timedelta(hours=1))
        admin.execute("VACUUM ANALYZE")
        transform(settings, moment, "+tag:minute,resource_type:model")
        if equipment > sampled:
            _copy(settings, _others(sampled, equipment), thin=False)
        admin.execute("VACUUM ANALYZE")


def add_days(settings: Settings, days: int) -> None:
    """Copy the newest day to the `days` days before it."""
    if days:
        _copy(settings, sql.SQL("SELECT 0 AS further, day FROM generate_series(1, {}) AS day").format(days), thin=True)
    with connect(settings, Role.ADMIN, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")


def land(connection: psycopg.Connection, equipment: int, begin: datetime, end: datetime) -> None:
    """One reading a second from `begin` up to `end` of every tag of the first `equipment` machines, committed once."""
    connection.execute(READINGS, {"begin": begin, "end": end, "tags": equipment * len(MEASUREMENTS)})


def transform(settings: Settings, moment: datetime, select: str = "tag:minute") -> tuple[float, dict[str, float]]:
    """One run, of the minute path: its wall time in seconds, and the seconds of SQL by model ('' is the run's own)."""
    result = build(settings, moment, select=select)
    if not result.succeeded:
        raise RuntimeError("; ".join(result.failures))
    return result.seconds, result.sql_seconds


def _others(sampled: int, equipment: int) -> sql.Composed:
    return sql.SQL("SELECT further, 0 AS day FROM generate_series({0}, {1} - 1, {0}) AS further").format(
        sampled, equipment
    )


def _copy(settings: Settings, whereto: sql.Composed, thin: bool) -> None:
    """Add every table's rows again for each row (machines further, days back) of the query `whereto`."""
    with connect(settings, Role.TRANSFORM, autocommit=True) as owner:
        for schema, name, is_partitioned in owner.execute(BUILT).fetchall():
            with owner.transaction():
                _copy_table(owner, schema, name, is_partitioned, whereto, thin)


def _copy_table(
    owner: psycopg.Connection, schema: str, name: str, is_partitioned: bool, whereto: sql.Composed, thin: bool
) -> None:
    table = sql.Identifier(schema, name)
    indexes = owner.execute(INDEXES, (schema, name)).fetchall()
    columns = owner.execute(COLUMNS, (f"{schema}.{name}",)).fetchall()
    clock = next((column for column, _, _ in columns if column in CLOCKS), "")
    kept = [
        (column, kind)
        for column, kind, required in columns
        if not (thin and schema == "marts") or required or column in {"equipment_id", "tag_id", "built_xid", clock}
    ]
    where: sql.Composable = sql.SQL("")
    if thin and clock in ("minute", "window_end"):
        where = sql.SQL("WHERE extract(MINUTE FROM r.{})::integer % {} = 0").format(sql.Identifier(clock), STEP)
    if is_partitioned:
        owner.execute(
            sql.SQL(PARTITIONS).format(
                name=f"{schema}.{name}", clock=sql.Identifier(clock), table=table, whereto=whereto
            )
        )
    # Filling an index row by row takes several times as long as making it anew.
    for _, index in indexes:
        owner.execute(f"DROP INDEX {index}")
    owner.execute(
        sql.SQL(COPY).format(
            table=table,
            columns=sql.SQL(", ").join(sql.Identifier(column) for column, _ in kept),
            values=sql.SQL(", ").join(_moved(column, kind) for column, kind in kept),
            whereto=whereto,
            where=where,
        )
    )
    for definition, _ in indexes:
        owner.execute(definition.replace(" ON ONLY ", " ON "))  # or a partition's own would not be made


def _moved(column: str, kind: str) -> sql.Composable:
    """A copied row's value of a column: of a machine further on, days earlier."""
    name = sql.Identifier("r", column)
    if column == "equipment_id":
        return sql.SQL("'M' || lpad((substr({}, 2)::integer + w.further)::text, 6, '0')").format(name)
    if column == "tag_id":
        return sql.SQL("{} + w.further * {}").format(name, len(MEASUREMENTS))
    if kind == "timestamp with time zone":
        return sql.SQL("{} - w.day * interval '1 day'").format(name)
    if kind == "date":
        return sql.SQL("{} - w.day").format(name)
    return name
