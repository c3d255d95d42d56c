"""A registry in memory, and plants in which champion and challenger said something and something came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ml import registry
from ml.errors import ContractError, RegistryError
from ml.registry import Aliases
from warehouse.settings import Settings

SINCE = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = SINCE + 35 * DAY
Figures = dict[str, float | None]
FIGURES = {
    "precision": 0.8, "recall": 0.9, "false_alarm_rate": 0.001, "alarm_rate": 1.0, "chatter_rate": 0.0,
    "latency_ms": 20.0, "bundle_mb": 2.0, "positive_windows": 60.0,
}  # fmt: skip
EVEN = {f"{name}_difference{end}": 0.0 for name in FIGURES for end in ("", "_low", "_high")}


@dataclass
class Registry:
    """Aliases in memory; `fails` are the numbers of the calls that move one and end in `ends`, as where the registry is
    away; `old` are the versions that were trained on another feature contract."""

    aliases: dict[str, str] = field(default_factory=dict)
    old: set[str] = field(default_factory=set)
    fails: set[int] = field(default_factory=set)
    ends: type[BaseException] = ConnectionError
    away: bool = False
    calls: int = 0

    def ask(self, settings: Settings) -> Aliases:
        if self.away:
            raise RegistryError("the model registry is away")
        return Aliases(dict(self.aliases), registry_away=False)

    def set_aliases(self, settings: Settings, wanted: dict[str, str | None]) -> None:
        for alias, version in wanted.items():
            self.calls += 1
            if self.calls in self.fails:
                raise self.ends("connection refused")
            if version is None:
                self.aliases.pop(alias, None)
            else:
                self.aliases[alias] = version

    def load(self, settings: Settings, version: str) -> None:
        if version in self.old:
            raise ContractError(f"feature contract another of version {version} is not the mart's own")


def in_memory(patch: pytest.MonkeyPatch, **aliases: str) -> Registry:
    """A registry with `aliases` in place of MLflow's."""
    one = Registry(dict(aliases))
    for name in ("ask", "set_aliases", "load"):
        patch.setattr(registry, name, getattr(one, name))
    return one


def trained(
    admin: psycopg.Connection, training_id: str, version: str | None, *, rows: int = 5000, positives: int = 200,
    own: Figures | None = None, champion: str | None = "1", theirs: Figures | None = None,
    reason: str = "trained",
) -> None:  # fmt: skip
    """A training with its evaluations; `own` and `theirs` change figures that are else the same."""
    admin.execute(
        "INSERT INTO ml.training_runs (training_id, moment, model_version, training_rows, positive_rows, seed, outcome,"
        " reason) VALUES (%s, %s, %s, %s, %s, 0, %s, %s)",
        (training_id, SINCE, version, rows, positives, "trained" if version else "refused", reason),
    )
    for name, figures in ((version, FIGURES | EVEN | (own or {})), (champion, FIGURES | (theirs or {}))):
        for metric, value in figures.items() if name else ():
            admin.execute(
                "INSERT INTO ml.evaluations (training_id, model_version, held_out_from, held_out_to, metric, value)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (training_id, name, SINCE - DAY, SINCE, metric, value),
            )


def watched(admin: psycopg.Connection, machines: int, *, failing: int = 0, days: int = 35) -> None:
    """Challenger 2 passed gate 1 at SINCE, and since then it and champion 1 have scored 0.1 every hour of `machines`;
    the first `failing` of them failed 30 days later."""
    admin.execute(
        "INSERT INTO ml.promotions (moment, gate, candidate_version, champion_version, criterion, passed, decision,"
        " reason) VALUES (%(since)s - interval '50 days', 'first_model', '1', NULL, 'decision', true, 'champion', 'x'),"
        " (%(since)s, 'challenger', '2', '1', 'decision', true, 'challenger', 'x')",
        {"since": SINCE},
    )
    admin.execute(
        "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence,"
        " moment) SELECT 'M' || n, at, v.version, v.role, 0.1, 'continue_operation', 0.9, at"
        " FROM generate_series(1, %s) AS n, generate_series(%s, %s, interval '1 hour') AS at,"
        " (VALUES ('1', 'champion'), ('2', 'challenger')) AS v (version, role)",
        (machines, SINCE + timedelta(hours=1), SINCE + days * DAY),
    )
    admin.execute(
        "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, repaired_at,"
        " available_at) SELECT 'F' || n, 'M' || n, 'bearing', 'bearing_wear', at, at, at FROM generate_series(1, %s)"
        " AS n, (SELECT %s::timestamptz AS at) AS failed",
        (failing, SINCE + 30 * DAY),
    )


def raises(admin: psycopg.Connection, role: str, machines: str, since: datetime, until: datetime) -> None:
    """`role` raised the machines, a range such as '1-20', after `since` up to `until`."""
    first, last = machines.split("-")
    admin.execute(
        "UPDATE ml.scores SET anomaly_score = 0.95 WHERE role = %s AND window_end > %s AND window_end <= %s"
        " AND substr(equipment_id, 2)::integer BETWEEN %s AND %s",
        (role, since, until, int(first), int(last)),
    )


def rows(admin: psycopg.Connection) -> dict[str, tuple[bool, str]]:
    """The last gate's criteria with what they came to."""
    found = admin.execute("SELECT criterion, passed, reason FROM ml.promotions ORDER BY promotion_id")
    return {name: (passed, reason) for name, passed, reason in found}


def decided(admin: psycopg.Connection) -> list[tuple[str, str, str | None]]:
    """Gate, outcome and candidate of every decision, in order; without those that `watched` begins with."""
    found = admin.execute(
        "SELECT gate, decision, candidate_version FROM ml.promotions WHERE criterion = 'decision' AND reason <> 'x'"
        " ORDER BY promotion_id"
    )
    return [(gate, outcome, version) for gate, outcome, version in found]
