"""What HMIs read and write: the three queries of the contract by pgbench, prepared, beside `SELECT 1` in the same run.

    python -m bench.warehouse --only serving

8 clients as fast as they can, as the operator's role; each query by itself, so that a cheap one doesn't hide a dear
one, all taking turns with `SELECT 1`. 1,000 machines of 4 tags, 100,000 recommendations of which one in ten is
pending, a score a machine and minute over two hours, an open alert on one machine in ten.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from bench.figures import Figures
from bench.throwaway import throwaway_warehouse
from warehouse import server
from warehouse.environment import libpq_environment
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CLIENTS: Final = 8
SECONDS: Final = 10
ROUNDS: Final = 3
EQUIPMENT: Final = 1000
RECOMMENDATIONS: Final = 100_000
# Recommendations are 10 minutes apart; the HMI sends back the milliseconds that it was shown.
BEGIN_MS: Final = 1_770_000_000_000
STEP_MS: Final = 600_000
PLANT: Final = """
INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('BENCH', 'Bench', 'UTC');
INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type)
SELECT n::text, 'BENCH', 'Machine ' || n, 'pump' FROM generate_series(1, %(equipment)s) AS n;
INSERT INTO raw.tags (tag_id, server, node_id, equipment_id, measurement, data_type) OVERRIDING SYSTEM VALUE
SELECT (n - 1) * 4 + k, 'bench', n || '-' || k, n::text, m, 'double' FROM generate_series(1, %(equipment)s) AS n
CROSS JOIN unnest(ARRAY['power', 'speed', 'temperature', 'vibration']) WITH ORDINALITY AS u (m, k);
INSERT INTO raw.tag_latest (tag_id, source_ts, value, status) SELECT tag_id, clock_timestamp(), 50, 0 FROM raw.tags;
INSERT INTO raw.servers (server, url, worker, connected_since) VALUES ('bench', 'opc.tcp://bench', 'bench', 'epoch');
INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence, moment,
 temp_avg_5min, vibration_avg_5min, throughput_avg_5min)
SELECT n::text, at, '1', 'champion', 0.4, 'continue_operation', 0.9, at, 61, 4, 300
FROM generate_series(1, %(equipment)s) AS n
CROSS JOIN generate_series('2026-02-02T00:01Z', '2026-02-02T02:00Z', interval '1 minute') AS at;
INSERT INTO serving.recommendations_serving
(recommendation_id, equipment_id, "timestamp", anomaly_score, severity, action_code, recommendation_text, confidence,
 estimated_ttf, temp_avg_5min, vibration_avg_5min, throughput_avg_5min, status, model_version)
SELECT
    'r' || n || '-' || k, n::text, to_timestamp((%(begin)s + k * %(step)s) / 1000.0), 0.7 + k %% 30 / 100.0,
    'significant', 'schedule_maintenance', 'Vibration is high: inspect the bearing', 0.9, 30, 61, 4, 300,
    CASE WHEN k %% 10 = 0 THEN 'pending' ELSE 'expired' END, '1'
FROM generate_series(0, %(each)s - 1) AS k CROSS JOIN generate_series(1, %(equipment)s) AS n;
INSERT INTO serving.critical_alerts
(equipment_id, tag_id, measurement, "timestamp", severity, direction, value, limit_value, action_code,
 recommendation_text)
SELECT n::text, (n - 1) * 4 + 3, 'temperature', clock_timestamp(), 'warning', 'high', 91, 90, 'check_blockage', 'Hot'
FROM generate_series(1, %(equipment)s, 10) AS n;
"""
SCRIPTS: Final = {
    "select_1": "SELECT 1;",
    "pending": """\\set e random(1, :equipment)
SELECT equipment_id, timestamp, anomaly_score, severity, action_code, recommendation_text, confidence, estimated_ttf, \
temp_avg_5min, vibration_avg_5min, throughput_avg_5min FROM recommendations_serving \
WHERE equipment_id = :e AND status = 'pending' ORDER BY anomaly_score DESC LIMIT 1;""",
    "dashboard": "\\set e random(1, :equipment)\nSELECT * FROM hmi_dashboard WHERE equipment_id = :e;",
    "answer": """\\set e random(1, :equipment)
\\set at :begin + :step * random(0, :each - 1)
\\set id random(1, 1000000000000000)
INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, action_code, anomaly_score, \
operator_action, operator_id, action_timestamp, operator_notes, shift, session_id, asked_genie) \
VALUES (:id, :e, :at, 'schedule_maintenance', 0.8, 'executed', 'bench', CURRENT_TIMESTAMP, '', 'early', 's', false);""",
}


def measure(quick: bool) -> Figures:
    """p50 and p99 in ms and transactions/s of each query; `p99_ms` is that of the slowest of the three."""
    equipment, recommendations = (20, 200) if quick else (EQUIPMENT, RECOMMENDATIONS)
    each = recommendations // equipment
    sizes = {"equipment": equipment, "begin": BEGIN_MS, "step": STEP_MS, "each": each}
    taken: dict[str, list[np.ndarray]] = {name: [] for name in SCRIPTS}
    seconds = 1 if quick else SECONDS
    with throwaway_warehouse() as settings:
        with connect(settings, Role.ADMIN, autocommit=True) as admin:
            for statement in PLANT.split(";\n"):
                admin.execute(statement, sizes) if "%" in statement else admin.execute(statement)
            admin.execute("VACUUM ANALYZE")
        for _ in range(1 if quick else ROUNDS):
            for name in SCRIPTS:
                taken[name].append(_run(settings, name, sizes, seconds))
    milliseconds = {name: np.concatenate(runs) / 1000 for name, runs in taken.items()}
    figures = {"p99_ms": max(float(np.percentile(ms, 99)) for name, ms in milliseconds.items() if name != "select_1")}
    for name, ms in milliseconds.items():
        figures |= {
            f"{name}_p50_ms": float(np.percentile(ms, 50)),
            f"{name}_p99_ms": float(np.percentile(ms, 99)),
            f"{name}_per_s": len(ms) / (seconds * len(taken[name])),
        }
    return figures


def _run(settings: Settings, name: str, sizes: dict[str, int], seconds: int) -> np.ndarray:
    """Latency of every transaction of one query, in µs."""
    with tempfile.TemporaryDirectory(prefix="millwright-pgbench-") as folder:
        script = Path(folder) / f"{name}.sql"
        script.write_text(SCRIPTS[name] + "\n")
        command = [
            server.binary("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=2",
            f"--time={seconds}", f"--file={script}", "--log", f"--log-prefix={folder}/log",
            *(f"--define={key}={value}" for key, value in sizes.items()),
        ]  # fmt: skip
        result = subprocess.run(
            command, env=libpq_environment(settings, Role.OPERATOR), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise RuntimeError(f"pgbench failed: {result.stderr.strip()}")
        # client, transaction, latency in µs, script, seconds, µs
        return np.concatenate([np.loadtxt(log, usecols=2, ndmin=1) for log in Path(folder).glob("log.*")])
