"""A day of the plant beside what its champion was trained on: which features moved, which sensors, and of what kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from ml import features, registry
from ml.drift import attribution, reference
from ml.drift.attribution import Attribution, Position
from ml.drift.findings import Day, Finding, attributions, compare, judge, judged_machines, measurement_of
from ml.drift.reference import PLANT
from ml.errors import NoChampionError, NoReferenceError
from ml.policy import Policy
from warehouse.grid import sql_on_grid
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CHECKPOINT = "drift"
_DAY = (
    "FROM marts.gold_ml_features AS g WHERE g.is_running AND g.in_maintenance IS NOT TRUE AND g.window_end > %(since)s"
    f" AND g.window_end <= %(moment)s AND {sql_on_grid('g.window_end')}"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriftResult:
    """What a check found. `warnings` are sentences that name the sensors; none means that nothing drifted."""

    version: str
    since: datetime
    moment: datetime
    rows: int
    machines: int
    findings: list[Finding]
    attributions: list[Attribution]
    warnings: list[str]
    seconds: float = 0.0
    report: Path | None = None
    labels: Mapping[int, str] = field(default_factory=dict)

    @property
    def drifted(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.drifted]


def check(
    settings: Settings, moment: datetime, days: int = 1, report: Path | None = None, policy: Policy | None = None
) -> DriftResult:
    """Judge the `days` before `moment` against the champion's reference; store, write the page, and log each warning.

    Reads those days of the mart and `ml.reference`, nothing else of the past. A run for the same moment replaces what
    it said before. Raises NoChampionError, or NoReferenceError where the champion was trained before there were any.
    """
    from ml.drift.report import write

    policy = policy or Policy()
    began = time.perf_counter()
    version = registry.aliases(settings)[registry.CHAMPION]
    if version is None:
        raise NoChampionError(
            "there is no champion to compare with: python -m ml train --bootstrap makes the first one"
        )
    since = moment - timedelta(days=days)
    with connect(settings, Role.SCORE) as connection:
        features.require_mart(connection)
        profiles = reference.load(connection, version)
        if not profiles:
            raise NoReferenceError(
                f"version {version} was trained before references were kept: drift is looked at after the next training"
            )
        day = _read(connection, version, since, moment)
        findings, share = judge(compare(profiles, day), policy)
        suspects = attributions(profiles, day, share, {})
        tags = _tags(connection, {f.equipment_id for f in findings if f.drifted} | {v.equipment_id for v in suspects})
        if suspects:
            _look_at_positions(connection, tags, [v.equipment_id for v in suspects], since, moment)
            suspects = attributions(profiles, day, share, tags)
        findings = [_attributed(finding, suspects, tags) for finding in findings]
        labels = {p.tag_id: p.name for positions in tags.values() for own in positions.values() for p in own}
        result = DriftResult(
            version, since, moment, len(day.windows), len(judged_machines(day)), findings, suspects,
            sentences(findings, suspects, labels), time.perf_counter() - began, labels=labels,
        )  # fmt: skip
        _store(connection, result)
    path = write(settings, result, profiles, day, report)
    from warehouse.data_docs import write_data_docs

    write_data_docs(settings)
    for sentence in result.warnings:
        _log.warning("drift: %s", sentence)
    return replace(result, report=path)


def _read(connection: psycopg.Connection, version: str, since: datetime, moment: datetime) -> Day:
    parameters = {"since": since, "moment": moment, "version": version}
    windows = features.read(connection, _DAY, parameters)
    scores = connection.execute(
        "SELECT anomaly_score FROM ml.scores WHERE window_end > %(since)s AND window_end <= %(moment)s"
        " AND model_version = %(version)s AND role = 'champion' AND superseded_at IS NULL"
        f" AND {sql_on_grid('window_end')}",
        parameters,
    ).fetchall()
    return Day(windows, np.array([row[0] for row in scores], float))


def _attributed(
    finding: Finding, told: Iterable[Attribution], tags: Mapping[str, Mapping[str, list[Position]]]
) -> Finding:
    if not finding.drifted or finding.equipment_id == PLANT:
        return finding
    measurement = measurement_of(finding.feature) or finding.feature
    known = tuple(p.tag_id for p in tags.get(finding.equipment_id, {}).get(measurement, []))
    own = next((one for one in told if one.equipment_id == finding.equipment_id), None)
    if own is None:
        return replace(finding, tag_ids=known)
    if measurement in own.measurements:
        meant = tuple(tag for tag in known if tag in own.tag_ids) or known
        return replace(finding, verdict=own.origin, reason=own.words, tag_ids=meant)
    if finding.statistic == "residual":
        # It was found to stay once the suspect no longer had a say in what is expected of it.
        reason = f"it stays; {', '.join(own.measurements)} misleads what is expected of it"
        return replace(finding, drifted=False, reason=reason)
    return replace(finding, tag_ids=known)


def sentences(findings: list[Finding], told: list[Attribution], labels: Mapping[int, str]) -> list[str]:
    """One sentence a machine that drifted, its sensors named; and those of the plant and the scores."""
    found = []
    drifted = [finding for finding in findings if finding.drifted]
    for machine in dict.fromkeys([*(v.equipment_id for v in told), *(f.equipment_id for f in drifted)]):
        own = sorted((f for f in drifted if f.equipment_id == machine), key=lambda f: -f.excess)
        figures = ", ".join(f"{f.feature} {f.statistic} {f.value:.2g} (bound {f.bound:.2g})" for f in own[:3])
        more = f" and {len(own) - 3} more" if len(own) > 3 else ""
        told_of = next((v for v in told if v.equipment_id == machine), None)
        tags = told_of.tag_ids if told_of and told_of.tag_ids else [t for f in own for t in f.tag_ids]
        named = "; ".join(dict.fromkeys(labels[tag] for tag in tags if tag in labels))
        says = f"{told_of.origin}: {told_of.words}" if told_of else "the distribution changed"
        found.append(f"{machine or 'the plant'}: {says}" + (f" [{named}]" if named else "")
                     + (f" ({figures}{more})" if figures else ""))  # fmt: skip
    return found


def _tags(connection: psycopg.Connection, machines: set[str]) -> dict[str, dict[str, list[Position]]]:
    """The sensors of machines by measurement, and under the load's name those that it is known by."""
    found: dict[str, dict[str, list[Position]]] = {}
    rows = connection.execute(
        "SELECT t.equipment_id, t.measurement, t.position, t.tag_id, t.unit, t.node_id,"
        " t.measurement IS NOT DISTINCT FROM e.load_measurement"
        " FROM raw.tags AS t JOIN raw.equipment AS e USING (equipment_id)"
        " WHERE t.equipment_id = ANY(%s) AND t.role = 'measurement' AND t.valid_to IS NULL"
        " ORDER BY t.equipment_id, t.measurement, t.position",
        (list(machines),),
    )
    for machine, measurement, position, tag_id, unit, node, is_load in rows:
        where = f" at {position}" if position else ""
        own = Position(tag_id, f"{measurement}{where} ({unit or 'no unit'}, tag {tag_id}, {node})", None, position)
        found.setdefault(machine, {}).setdefault(measurement, []).append(own)
        if is_load:
            found[machine].setdefault(attribution.LOAD, []).append(own)
    return found


def _look_at_positions(
    connection: psycopg.Connection,
    tags: dict[str, dict[str, list[Position]]],
    machines: list[str],
    since: datetime,
    moment: datetime,
) -> None:
    """Add how far each sensor was from its own baseline, for machines that have two of a measurement."""
    several = [p.tag_id for name in machines for own in tags.get(name, {}).values() if len(own) > 1 for p in own]
    if not several or connection.execute("SELECT to_regclass('marts.silver_enriched_sensors')").fetchone() == (None,):
        return
    means: dict[int, float] = dict(
        connection.execute(
            "SELECT tag_id, avg(z_score) FROM marts.silver_enriched_sensors WHERE tag_id = ANY(%s)"
            " AND window_end > %s AND window_end <= %s AND is_running AND in_maintenance IS NOT TRUE GROUP BY tag_id",
            (several, since, moment),
        ).fetchall()
    )
    for own in tags.values():
        for measurement, positions in own.items():
            own[measurement] = [replace(p, deviation=means.get(p.tag_id, p.deviation)) for p in positions]


def _store(connection: psycopg.Connection, result: DriftResult) -> None:
    rows = [
        (
            result.moment, result.since, result.version, f.equipment_id, f.feature, f.statistic, f.value, f.bound,
            f.drifted, f.verdict, list(f.tag_ids), f.reason,
        )
        for f in result.findings
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.drift (moment, since, model_version, equipment_id, feature, statistic, value, bound,"
            " drifted, verdict, tag_ids, reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (moment, model_version, equipment_id, feature, statistic) DO UPDATE SET"
            " since = excluded.since, value = excluded.value, bound = excluded.bound, drifted = excluded.drifted,"
            " verdict = excluded.verdict, tag_ids = excluded.tag_ids, reason = excluded.reason",
            rows,
        )
        # Late data may have left nothing to judge of what a former run for the moment found.
        cursor.execute(
            "UPDATE ml.drift AS d SET drifted = false, bound = NULL, verdict = NULL, tag_ids = '{}',"
            " reason = 'a later run for this moment had nothing to judge' WHERE d.moment = %s AND d.model_version = %s"
            " AND d.drifted AND (d.equipment_id, d.feature, d.statistic) NOT IN"
            " (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])) RETURNING d.equipment_id",
            (
                result.moment, result.version, *([getattr(f, name) for f in result.findings]
                for name in ("equipment_id", "feature", "statistic")),
            ),
        )  # fmt: skip
        unjudged = {name for (name,) in cursor.fetchall()}
        wanted = f"looks as it did when version {result.version} was trained"
        said = dict.fromkeys([PLANT, *sorted(unjudged)], "") | {v.equipment_id: v.words for v in result.attributions}
        said |= {f.equipment_id: said.get(f.equipment_id, "") for f in result.drifted}
        drifted = {f.equipment_id for f in result.drifted} | {v.equipment_id for v in result.attributions}
        cursor.executemany(
            "INSERT INTO ops.data_quality_results (checkpoint, moment, expectation, subject, succeeded, blocking,"
            " observed, detail) VALUES (%s, %s, 'expect_no_drift', %s, %s, false, %s, %s)",
            [
                (
                    CHECKPOINT,
                    result.moment,
                    name or "all machines",
                    name not in drifted,
                    Jsonb(_seen(result, name)),
                    wanted,
                )
                for name in said
            ],
        )
        figures = {
            "drift_s": result.seconds, "machines": result.machines, "rows": result.rows,
            "machines_drifted": len(drifted - {PLANT}), "figures_drifted": len(result.drifted),
        }  # fmt: skip
        cursor.executemany(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value, labels) VALUES ('drift', %s, %s, %s)",
            [(name, float(value), Jsonb({"champion": result.version})) for name, value in figures.items()],
        )


def _seen(result: DriftResult, machine: str) -> dict[str, Any]:
    name = machine or "the plant"
    told = [sentence.removeprefix(f"{name}: ") for sentence in result.warnings if sentence.startswith(f"{name}: ")]
    return {"value": told[0] if told else f"{result.rows} windows of {result.machines} machines"}
