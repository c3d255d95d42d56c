"""The proof that it works: the real stack on free ports, a fault, a recommendation, an answer, a retraining.

Nothing is replaced: the scheduler runs, readings come over OPC UA, the operator answers in SQL. Everything is
looked at from outside, in tables and by LISTEN.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import yaml
from psycopg.types.string import StrDumperVarchar
from rich.console import Console

from stack.environment import environment
from stack.errors import StackError
from stack.observation import Listener, MemoryGauge, Notification, count, latency_ms, read_counters
from stack.scheduler_api import Run, SchedulerApi
from stack.session import stack, stoppable
from stack.supervisor import Supervisor
from stack.verdict import Figures, shortfalls
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

T = TypeVar("T")

FAULT = "bearing_wear"
FAULT_MINUTES = 3
COUNTERS = [f"nsu=urn:millwright:demo;s=Counter.{number}" for number in range(1, 5)]

FIRST_SCORE = """
SELECT max(window_end) FROM ml.scores WHERE role = 'champion' AND superseded_at IS NULL AND window_end > %(since)s
"""
# A machine that runs and has a bearing to listen to; nothing is open on it.
CANDIDATES = """
SELECT equipment_id FROM serving.hmi_dashboard
WHERE run_state = 'running' AND vibration IS NOT NULL AND recommendation_id IS NULL AND bad_tags = 0
ORDER BY equipment_id
"""
SHOWN = """
SELECT equipment_id, published_at FROM serving.recommendations_serving
WHERE published_at >= %(since)s AND published_at < %(until)s AND "timestamp" > %(began)s
"""
# The statement of the contract with HMIs, as it stands there; only the parameters' spelling is psycopg's.
ANSWER = """
INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, action_code, anomaly_score,
    operator_action, operator_id, action_timestamp, operator_notes, shift, session_id, asked_genie)
  VALUES (%(feedback_id)s, %(equipment_id)s, %(recommendation_timestamp)s, %(action_code)s, %(anomaly_score)s,
    %(operator_action)s, %(operator_id)s, CURRENT_TIMESTAMP, %(operator_notes)s, %(shift)s, %(session_id)s,
    %(asked_genie)s);
"""
PENDING = """
SELECT equipment_id, timestamp, anomaly_score, severity, action_code, recommendation_text, confidence,
       estimated_ttf, temp_avg_5min, vibration_avg_5min, throughput_avg_5min
FROM recommendations_serving
WHERE equipment_id = %(equipment_id)s AND status = 'pending' ORDER BY anomaly_score DESC LIMIT 1;
"""
TRAINING = """
SELECT training_id, training_rows, model_version FROM ml.training_runs WHERE moment >= %(since)s
ORDER BY started_at DESC LIMIT 1
"""
GATE = """
SELECT criterion, candidate_value, decision, reason FROM ml.promotions
WHERE decided_at >= %(since)s AND gate = 'challenger' ORDER BY promotion_id
"""
MINUTES = """
SELECT extract(EPOCH FROM end_date - start_date)::float, state FROM dag_run
WHERE dag_id = 'score_minutely' AND end_date IS NOT NULL
"""


class SmokeError(StackError):
    """The run didn't prove what it should: stage and why."""


@dataclass
class Smoke:
    """One run. Each method is a stage; what it measures goes into `figures`."""

    settings: Settings
    console: Console
    history_days: int
    control_minutes: float
    figures: Figures = field(default_factory=Figures)
    stage: str = "start"
    began: float = field(default_factory=time.monotonic)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self) -> None:
        """All stages; raises StackError in the stage that fails. Everything has ended when it returns."""
        self.figures.history_days = self.history_days
        with MemoryGauge() as gauge:
            try:
                with self._staged("start"):
                    running = stack(self.settings, True, self.history_days, self.console)
                    supervisor = running.__enter__()
                try:
                    self._stages(supervisor)
                finally:
                    with self._staged("stop", supervise=False):
                        running.__exit__(None, None, None)
            finally:
                self.figures.peak_rss_mb = round(gauge.peak_mb)
                self.figures.duration_s = round(time.monotonic() - self.began, 1)

    def _stages(self, supervisor: Supervisor) -> None:
        record = json.loads((self.settings.var / "prepared.json").read_text())
        self.figures.prepare_s = {name: step["seconds"] for name, step in record["steps"].items()}
        with closing(Listener(self.settings)) as listener, connect(self.settings, Role.SCORE, autocommit=True) as look:
            listener.start()
            with self._staged("first score"):
                self._first_score(supervisor, look)
            with self._staged("first minute"):
                self._first_minute(supervisor)
            control_from = datetime.now(UTC)
            with self._staged("control"):
                self._wait("control stretch", supervisor, self.control_minutes * 60 + 30, self._after(control_from))
            with self._staged("inject"):
                injected_at = self._inject(look)
            with self._staged("recommendation"):
                heard = self._recommendation(supervisor, listener)
                figure = (heard.received - injected_at).total_seconds()
                self.figures.fault_to_recommendation_s = round(figure, 1)
            with self._staged("feedback"):
                api = SchedulerApi(self.settings)
                self._feedback(supervisor, api, look, heard)
            with self._staged("retrain"):
                self._retrain(supervisor, api, look)
            with self._staged("count"):
                self._count(supervisor, look)
                self.figures.tag_to_row_ms_p50, self.figures.tag_to_row_ms_p99 = latency_ms(look, control_from)
                self._recommendations(look, listener, control_from, injected_at)
                self._minutes()

    @contextmanager
    def _staged(self, name: str, supervise: bool = True) -> Iterator[None]:
        if supervise:
            self.stage = name
        self.console.print(f"[{time.monotonic() - self.began:5.0f} s] {name}", highlight=False, markup=False)
        began = time.monotonic()
        yield
        self.figures.stages_s[name] = round(time.monotonic() - began, 1)

    def _say(self, text: str) -> None:
        self.console.print(f"[{time.monotonic() - self.began:5.0f} s]   {text}", highlight=False, markup=False)

    def _wait(self, what: str, supervisor: Supervisor, timeout: float, condition: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + timeout
        while True:
            supervisor.check()
            if (found := condition()) is not None:
                return found
            if time.monotonic() > deadline:
                raise SmokeError(f"no {what} within {timeout:.0f} s; logs: {supervisor.logs}")
            time.sleep(0.5)

    def _after(self, moment: datetime) -> Callable[[], bool | None]:
        return lambda: True if datetime.now(UTC) >= moment + timedelta(minutes=self.control_minutes) else None

    def _first_score(self, supervisor: Supervisor, look: psycopg.Connection) -> None:
        def scored() -> datetime | None:
            row = look.execute(FIRST_SCORE, {"since": self.since}).fetchone()
            return row[0] if row else None

        window = self._wait("scored minute", supervisor, 300, scored)
        self.figures.first_score_s = round(time.monotonic() - self.began, 1)
        self._say(f"first live minute scored: {window:%H:%M} UTC")

    def _first_minute(self, supervisor: Supervisor) -> None:
        """The control stretch proves something once Airflow scores, which the first score didn't wait for."""
        with connect(self.settings, Role.AIRFLOW, "airflow", autocommit=True) as connection:

            def scored() -> bool | None:
                return any(state == "success" for _, state in connection.execute(MINUTES)) or None

            self._wait("minute scored by Airflow", supervisor, 300, scored)
        self.figures.first_minute_s = round(time.monotonic() - self.began, 1)

    def _inject(self, look: psycopg.Connection) -> datetime:
        machines = [row[0] for row in look.execute(CANDIDATES)]
        if not machines:
            raise SmokeError("no machine runs that could break")
        machine = machines[0]
        command = [sys.executable, "-m", "simulator", "inject", machine, FAULT, "--minutes", str(FAULT_MINUTES)]
        done = subprocess.run(
            command, cwd=HOME, env=_environment(self.settings), capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise SmokeError(f"{' '.join(command[2:])}: {done.stderr.strip()}")
        self.figures.injected_equipment, self.figures.injected_fault = machine, FAULT
        self._say(done.stdout.strip() or f"{FAULT} injected into {machine}")
        return datetime.now(UTC)

    def _recommendation(self, supervisor: Supervisor, listener: Listener) -> Notification:
        def heard() -> Notification | None:
            machine = self.figures.injected_equipment
            return next((n for n in listener.recommendations() if n.payload["equipment_id"] == machine), None)

        found = self._wait(f"recommendation on {self.figures.injected_equipment}", supervisor, 420, heard)
        self.figures.recommended_equipment = found.payload["equipment_id"]
        self.figures.recommended_action = found.payload["action_code"]
        self._say(found.payload["recommendation_text"])
        return found

    def _feedback(
        self, supervisor: Supervisor, api: SchedulerApi, look: psycopg.Connection, heard: Notification
    ) -> None:
        machine = heard.payload["equipment_id"]
        with connect(self.settings, Role.OPERATOR, autocommit=True) as hmi:
            # HMIs bind every parameter as varchar, dates as milliseconds.
            hmi.adapters.register_dumper(str, StrDumperVarchar)
            shown = hmi.execute(PENDING, {"equipment_id": machine}).fetchone()
            if shown is None:
                raise SmokeError(f"{machine} was announced but no recommendation is pending on it")
            answer = {
                "feedback_id": str(uuid4()),
                "equipment_id": machine,
                "recommendation_timestamp": str(round(shown[1].timestamp() * 1000)),
                "action_code": shown[4],
                "anomaly_score": str(shown[2]),
                "operator_action": "executed",
                "operator_id": "smoke",
                "operator_notes": "answered by the smoke run",
                "shift": "day",
                "session_id": "smoke",
                "asked_genie": "false",
            }
            hmi.execute(ANSWER, answer)
            if hmi.execute(PENDING, {"equipment_id": machine}).fetchone() is not None:
                raise SmokeError(f"{machine} was answered and its recommendation is still pending")
        self.figures.feedback_answers = 1
        # The scheduled run does it if it is near; nobody waits five minutes for it here.
        if 300 - time.time() % 300 > 60:
            self._finish("sync_feedback", api, supervisor, 120)

        def synced() -> int | None:
            row = look.execute(
                "SELECT count(*) FROM raw.operator_feedback WHERE feedback_id = %s", (answer["feedback_id"],)
            ).fetchone()
            return row[0] or None if row else None

        self.figures.feedback_synced = 0
        self.figures.feedback_synced = self._wait("synced answer", supervisor, 120, synced)

    def _finish(self, dag_id: str, api: SchedulerApi, supervisor: Supervisor, timeout: float) -> Run:
        """Start a DAG by hand and wait until its run has succeeded."""
        started = api.start(dag_id)
        run = self._wait(f"end of {dag_id}", supervisor, timeout, lambda: _ended(api.look(started)))
        if run.state != "success":
            raise SmokeError(f"{dag_id} ended as {run.state}; logs: {self.settings.var / 'airflow' / 'logs'}")
        return run

    def _retrain(self, supervisor: Supervisor, api: SchedulerApi, look: psycopg.Connection) -> None:
        since = datetime.now(UTC)
        run = self._finish("retrain_weekly", api, supervisor, 300)
        self.figures.retrain_s = None if run.seconds is None else round(run.seconds, 1)
        training = look.execute(TRAINING, {"since": since - timedelta(seconds=5)}).fetchone()
        if training is None:
            raise SmokeError("retrain_weekly succeeded without a row in ml.training_runs")
        self.figures.training_rows = training[1] or 0
        rows = look.execute(GATE, {"since": since}).fetchall()
        decision = next((row for row in rows if row[0] == "decision"), None)
        if decision is None:
            raise SmokeError("the gate left no decision in ml.promotions")
        self.figures.promotion_decision, self.figures.promotion_reason = decision[2], decision[3]
        self.figures.gate_figures = sum(1 for row in rows if row[0] != "decision" and row[1] is not None)
        self._say(f"{decision[2]}: {decision[3]}")

    def _count(self, supervisor: Supervisor, look: psycopg.Connection) -> None:
        last = read_counters(f"opc.tcp://127.0.0.1:{self.settings.opcua_port}", COUNTERS)
        counts = [count(look, node, value) for node, value in zip(COUNTERS, last, strict=True)]
        self.figures.values_offered = sum(c.offered for c in counts)
        self.figures.values_landed = sum(c.landed for c in counts)
        self.figures.values_lost = sum(c.lost for c in counts)
        self.figures.duplicates = sum(c.duplicates for c in counts)
        self._wait("model card", supervisor, 60, self._card)
        supervisor.check()

    def _card(self) -> bool | None:
        """Whether the first model has its card, which nobody waits for before."""
        return "card" in json.loads((self.settings.var / "prepared.json").read_text())["steps"] or None

    def _recommendations(
        self, look: psycopg.Connection, listener: Listener, control_from: datetime, injected_at: datetime
    ) -> None:
        stretch = {"since": control_from, "until": injected_at, "began": self.since}
        self.figures.control_recommendations = len(look.execute(SHOWN, stretch).fetchall())
        stretch = {"since": injected_at, "until": datetime.now(UTC), "began": self.since}
        machine = self.figures.injected_equipment
        self.figures.false_recommendations = sum(1 for row in look.execute(SHOWN, stretch) if row[0] != machine)
        late = [
            (n.received - datetime.fromisoformat(n.payload["published_at"])).total_seconds() * 1000
            for n in listener.recommendations()
        ]
        self.figures.notify_ms_p50 = round(statistics.median(late), 1) if late else None

    def _minutes(self) -> None:
        with connect(self.settings, Role.AIRFLOW, "airflow") as connection:
            rows = connection.execute(MINUTES).fetchall()
        seconds = [row[0] for row in rows if row[1] == "success"]
        self.figures.minutes_scored, self.figures.minutes_failed = len(seconds), len(rows) - len(seconds)
        self.figures.minute_run_s_p50 = round(statistics.median(seconds), 1) if seconds else None


def _ended(run: Run) -> Run | None:
    return run if run.state in ("success", "failed") else None


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **environment(settings)}


def _free_ports(how_many: int) -> list[int]:
    with ExitStack() as probes:
        held = [probes.enter_context(socket.socket()) for _ in range(how_many)]
        for probe in held:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in held]


def smoke_plant(port: int) -> dict[str, Any]:
    """The demo plant's file with its server at `port` and the four counters as an equipment of their own."""
    plant: dict[str, Any] = yaml.safe_load((HOME / "plant.yml").read_text(encoding="utf-8"))
    for server in plant["servers"].values():
        server["url"] = f"opc.tcp://127.0.0.1:{port}"
    plant["equipment"]["COUNTERS"] = {
        "name": "Counters of the smoke run",
        "type": "counter",
        "server": next(iter(plant["servers"])),
        "tags": [
            {"node": node, "measurement": "counter", "position": str(number), "role": "counter",
             "data_type": "integer", "sampling_interval_ms": 50, "queue_size": 1000}
            for number, node in enumerate(COUNTERS, start=1)
        ],
    }  # fmt: skip
    return plant


def smoke(history_days: int, control_minutes: float, console: Console) -> int:
    """Run it in a temporary folder; prints one JSON object as its last line and keeps it in `var/smoke.json`."""
    folder = Path(tempfile.mkdtemp(prefix="millwright-smoke-"))
    folder.chmod(0o755)  # as root, Postgres runs as a system user that has to get in
    postgres, airflow, mlflow, opcua, metrics = _free_ports(5)
    plant = folder / "plant.yml"
    plant.write_text(yaml.safe_dump(smoke_plant(opcua), sort_keys=False, allow_unicode=True), encoding="utf-8")
    settings = Settings(
        var=folder / "var", plant=plant, bind="127.0.0.1",
        postgres_port=postgres, airflow_port=airflow, mlflow_port=mlflow, opcua_port=opcua,
        metrics_port=metrics,
    )  # fmt: skip
    run = Smoke(settings, console, history_days, control_minutes)
    problems: list[tuple[str, str]] = []
    with stoppable():
        try:
            run.run()
        except KeyboardInterrupt:
            problems.append((run.stage, "stopped by a signal"))
        except Exception as error:  # whatever it is, the last line says what was measured until then
            problems.append((run.stage, str(error) or repr(error)))
    problems += [] if problems else shortfalls(run.figures)
    outcome = run.figures.as_json() | {"passed": not problems}
    if problems:
        outcome["failed"] = [{"stage": stage, "why": why} for stage, why in problems]
        for stage, why in problems:
            print(f"smoke failed in stage {stage}: {why}", file=sys.stderr)
        print(f"logs and state are kept in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    target = Settings().var / "smoke.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(outcome)
    target.write_text(line + "\n")
    print(line, flush=True)
    return 1 if problems else 0
