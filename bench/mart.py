"""A feature mart without a transform: the real one's columns, filled on the server, and a champion fitted on the like.

Deviations are Gaussian noise; a failing machine's vibration is far out, over all windows. Everything else of the
models' path is the product's own.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np
import psycopg
import yaml

from ml import registry
from ml.ahead import Ahead
from ml.features import FEATURES, WINDOWS, Windows, contract
from ml.horizons import EDGES
from warehouse.feature_contract import PROJECT, columns
from warehouse.roles import Role, connect
from warehouse.settings import Settings
from warehouse.transform import build

MEASURED: Final = ("power", "speed", "temperature", "vibration")
# A failure a machine and this many days; it shows over the twelve hours before.
DAYS_BETWEEN_FAILURES: Final = 10
# How many of them a champion was taught with.
FAILURES_LEARNT: Final = 30
PLANT: Final = """
INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('BENCH', 'Bench', 'UTC');
INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type, load_measurement, rated_load)
SELECT 'M' || lpad(n::text, 6, '0'), 'BENCH', 'Machine ' || n, 'pump', 'power', 100
FROM generate_series(1, {machines}) AS n;
INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type, valid_from)
SELECT 'bench', e.equipment_id || m.measurement, e.equipment_id, m.measurement, m.unit, 'double', '2020-01-01Z'
FROM raw.equipment AS e
CROSS JOIN (VALUES ('power', 'kW'), ('speed', 'rpm'), ('temperature', '°C'), ('vibration', 'mm/s'))
AS m (measurement, unit);
INSERT INTO raw.sap_equipment
(equipment_id, plant_id, model, commissioned_on, criticality, downtime_cost_per_h, currency, available_at)
SELECT equipment_id, 'BENCH', 'X1', '2020-01-01', 'B', 900, 'EUR', '2020-01-01Z' FROM raw.equipment;
INSERT INTO raw.sap_spare_parts (part_id, plant_id, description, component, model, stock, available_at)
VALUES ('bearing', 'BENCH', 'Bearing', 'bearing', 'X1', 2, '2020-01-01Z');
INSERT INTO raw.cmms_maintenance (maintenance_id, equipment_id, component, kind, performed_at, available_at)
SELECT 'm' || equipment_id, equipment_id, 'bearing', 'corrective', '2025-09-01Z', '2025-09-01Z' FROM raw.equipment;
INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, repaired_at, available_at)
SELECT 'old' || equipment_id, equipment_id, 'bearing', 'bearing_wear', '2025-09-01Z', '2025-09-01Z', '2025-09-01Z'
FROM raw.equipment
"""
FAILURES: Final = """
INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, repaired_at, available_at)
SELECT 'f' || n || '-' || k, 'M' || lpad(n::text, 6, '0'), 'bearing', 'bearing_wear', at, at + interval '1 hour', at
FROM generate_series(1, %(machines)s) AS n
CROSS JOIN generate_series(1, %(failures)s) AS k
CROSS JOIN LATERAL (
    SELECT %(until)s - make_interval(days => %(every)s * k - (n %% %(every)s), hours => -1) AS at
) AS failure
WHERE at > %(since)s AND at < %(until)s
"""
SILVER: Final = """
CREATE TABLE marts.silver_enriched_sensors (
    tag_id integer, window_end timestamptz, value_mean float8, baseline_mean float8, baseline_std float8, z_score float8
);
INSERT INTO marts.silver_enriched_sensors
SELECT t.tag_id, at, 50 + z * 2, 50, 2, z FROM raw.tags AS t
CROSS JOIN generate_series({since}, {until}, interval '1 minute') AS at
CROSS JOIN LATERAL (SELECT CASE WHEN t.measurement = 'vibration' THEN 6.0 ELSE random_normal() END AS z) AS v;
CREATE UNIQUE INDEX ON marts.silver_enriched_sensors (tag_id, window_end)
"""


def name(number: int) -> str:
    """The id of a machine, from 1 on."""
    return f"M{number:06}"


def make(settings: Settings, admin: psycopg.Connection, machines: int, moment: datetime, days: int) -> None:
    """The plant, and the empty mart with partitions for `days` days before `moment` and the one after."""
    for statement in PLANT.format(machines=machines).split(";\n"):
        admin.execute(statement)  # type: ignore[call-overload]
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    described = ", ".join(
        f"{column} {kind}" for column, kind, _ in columns(variables["measurements"], variables["windows"])
    )
    with connect(settings, Role.TRANSFORM, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS marts")
        owner.execute(f"CREATE TABLE marts.gold_ml_features ({described}) PARTITION BY RANGE (window_end)")  # type: ignore[call-overload]
        owner.execute("ALTER TABLE marts.gold_ml_features ALTER built_xid SET DEFAULT pg_current_xact_id()")
        owner.execute("CREATE UNIQUE INDEX ON marts.gold_ml_features (equipment_id, window_end)")
        owner.execute("CREATE INDEX ON marts.gold_ml_features (built_xid)")
        owner.execute(
            "SELECT ops.ensure_day_partitions('marts.gold_ml_features'::regclass, array(SELECT %s::date + day"
            " FROM generate_series(%s, 1) AS day))",
            (moment, -days),
        )


def add_minute(admin: psycopg.Connection, machines: int, end: datetime, first_failing: int, failing: int) -> None:
    """The window of every machine that ends at `end`, and a score before of the failing ones, which confirms them."""
    shift = "CASE WHEN n >= %(first)s AND n < %(first)s + %(failing)s THEN 9 ELSE 0 END"
    insert = _insert(shift, "generate_series(1, %(machines)s) AS n CROSS JOIN (SELECT %(end)s::timestamptz AS at) AS t")
    parameters = {"machines": machines, "end": end, "first": first_failing, "failing": failing}
    admin.execute(insert, parameters)  # type: ignore[call-overload]
    # As if the run before had scored and held them, or nothing new would be confirmed in this one. Were it not held, it
    # would be a candidate now, and shown where by chance the machine was strange a minute earlier; it has no vector.
    admin.execute(
        "WITH before AS (INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score,"
        " action_code, confidence, moment) SELECT 'M' || lpad(n::text, 6, '0'), %(end)s - interval '90 seconds', '1',"
        " 'champion', 0.95, 'schedule_maintenance', 0.9, %(end)s"
        " FROM generate_series(%(first)s, %(first)s + %(failing)s - 1) AS n RETURNING *)"
        " INSERT INTO ml.recommendations (recommendation_id, equipment_id, timestamp, score_id, anomaly_score,"
        " severity, action_code, recommendation_text, confidence, model_version, held_reason)"
        " SELECT 'rec-' || score_id, equipment_id, window_end, score_id, anomaly_score, 'critical', action_code, '',"
        " confidence, model_version, 'not confirmed' FROM before",
        parameters,
    )


def add_history(admin: psycopg.Connection, machines: int, minutes: int, until: datetime) -> int:
    """`minutes` windows of every machine up to `until`; before a failure every ten days vibration grows over hours."""
    since = until - timedelta(minutes=minutes)
    parameters = {
        "machines": machines, "since": since, "until": until, "every": DAYS_BETWEEN_FAILURES,
        "failures": minutes // 1440 // DAYS_BETWEEN_FAILURES + 1,
    }  # fmt: skip
    admin.execute(FAILURES, parameters)
    shift = (
        "coalesce((SELECT 12 * greatest(0, 1 - extract(epoch FROM min(f.failed_at) - at) / 43200)::float8"
        " FROM raw.cmms_failures AS f WHERE f.equipment_id = 'M' || lpad(n::text, 6, '0') AND f.failed_at >= at), 0)"
    )
    spread = (
        "generate_series(1, %(machines)s) AS n CROSS JOIN"
        " generate_series(%(since)s + interval '1 minute', %(until)s, interval '1 minute') AS at"
    )
    return admin.execute(_insert(shift, spread), parameters).rowcount  # type: ignore[call-overload]


def add_sensors(admin: psycopg.Connection, moment: datetime) -> None:
    """Minutes of every tag about `moment`, as a recommendation's text and its reasons read them."""
    since, until = moment - timedelta(hours=2), moment + timedelta(minutes=15)
    for statement in SILVER.format(since=f"'{since}'::timestamptz", until=f"'{until}'::timestamptz").split(";\n"):
        admin.execute(statement)  # type: ignore[call-overload]
    admin.execute("GRANT SELECT ON marts.silver_enriched_sensors TO millwright_score")


def _insert(shift: str, spread: str) -> str:
    """An INSERT of windows from `spread`, which gives n and at; `shift` is how far out the vibration is."""
    deviations = [f"{m}_deviation_{w}m" for m in MEASURED for w in WINDOWS]
    values = [
        f"random_normal() * {0.9 if w == 5 else 0.6}" + (" + shift" if m == "vibration" else "")
        for m in MEASURED for w in WINDOWS
    ]  # fmt: skip
    means = [f"{m}_mean_5m" for m in MEASURED]
    flat = [f"{m}_flat_minutes" for m in MEASURED]
    names = ["equipment_id", "window_end", "is_running", "in_maintenance", "over_gap", "available_at", "load_ratio"]
    return (
        f"INSERT INTO marts.gold_ml_features ({', '.join([*names, *deviations, *means, *flat])})"
        " SELECT 'M' || lpad(n::text, 6, '0'), at, true, false, false, at, 0.8,"
        f" {', '.join(values)}, {', '.join('50' for _ in means)}, {', '.join('0' for _ in flat)}"
        f" FROM (SELECT n, at, {shift} AS shift FROM {spread}) AS shifted"
    )


def make_training_set(settings: Settings, moment: datetime) -> None:
    """`marts.ml_training_set` and the views below it, by dbt."""
    result = build(settings, moment, select="+ml_training_set,config.materialized:view,resource_type:model")
    if not result.succeeded:
        raise RuntimeError("; ".join(result.failures))


def fit_champion(settings: Settings, version: str, rows: int) -> None:
    """Fit a bundle on noise and worn bearings and put it where a loaded version lies; the registry isn't asked."""
    import skops.io

    from ml.bundle import EquipmentAnomalyDetector

    rng = np.random.default_rng(0)
    worn = max(rows // 20, 100)
    x = rng.normal(0, 0.7, (rows + worn, len(FEATURES)))
    for index, feature in enumerate(FEATURES):
        if not feature.startswith(MEASURED):
            x[:, index] = np.nan
        elif feature.endswith("flat_minutes"):
            x[:, index] = 0
        elif feature.startswith("vibration"):
            x[rows:, index] += rng.uniform(4, 12, worn)
    y = ["continue_operation"] * rows + ["schedule_maintenance"] * worn
    count = len(x)
    windows = Windows(np.full(count, "M", object), np.arange(count) * 60_000_000, np.zeros(count, bool), x)
    hours = np.concatenate([np.full(rows, np.inf), rng.uniform(0, 168, worn)])
    event = np.concatenate([np.full(rows, -1), np.arange(worn) % FAILURES_LEARNT])
    ahead = Ahead(windows, hours, np.full(count, np.inf), event, np.ones(count))
    bundle = EquipmentAnomalyDetector().fit(x, y, ahead=ahead, edges=EDGES)
    if bundle.contract_ != contract():
        raise RuntimeError("the bundle was to have this code's feature contract")
    path = settings.var / registry.BUNDLE
    skops.io.dump(bundle, path)
    registry.keep(settings, version, path, registry.sha256(path), bundle.scorecard)
