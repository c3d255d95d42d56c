"""Data-quality checkpoints with Great Expectations: is what landed, and what a model would learn from, fit for use?

SQL condenses the readings, and the rows that a training would draw, and cuts the features to a stated slice; the
expectations are about that. Every result is a row of `ops.data_quality_results`; one that blocks fails the checkpoint,
the others warn. `warehouse.data_docs` makes a page of those rows.
"""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from warehouse.data_docs import observed_text, write_data_docs
from warehouse.drawing import EXTENT, Drawing, sql_evenly, thinning
from warehouse.errors import WarehouseError
from warehouse.expectations import CHECKPOINTS, Check, Checkpoint
from warehouse.roles import Role, connect, url
from warehouse.settings import Settings


@dataclass(frozen=True)
class CheckpointResult:
    """`succeeded` unless something that blocks failed; each failure and warning is a sentence."""

    succeeded: bool
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """What became of one expectation."""

    check: Check
    succeeded: bool
    observed: dict[str, Any]

    @property
    def sentence(self) -> str:
        seen = observed_text(self.observed)
        return f"{self.check.subject}: {self.check.wanted}" + (f". Got: {seen}" if seen else "")


def check(
    settings: Settings, checkpoint: str, moment: datetime, hours: int = 24, drawing: Drawing | None = None
) -> CheckpointResult:
    """Run the checkpoint `raw_landings` or `training_set` for `moment`, store what it found and write its page anew.

    `hours` is how far back `raw_landings` looks at each measurement; at the plant as a whole it looks back a week. By
    `drawing`, what the environment says unless given, a training as of `moment` would draw the rows that `training_set`
    looks at. Nothing to look at is a failure that says so. Raises WarehouseError for an unknown checkpoint.
    """
    if checkpoint not in CHECKPOINTS:
        raise WarehouseError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}. Got: {checkpoint!r}")
    definition = CHECKPOINTS[checkpoint]
    findings = _empty(settings, definition, moment)
    if not findings:
        values = {":moment": f"'{moment.isoformat()}'::timestamptz", ":span": f"'{hours} hours'::interval"}
        if any(":evenly" in batch.query for batch in definition.batches.values()):
            values |= _drawn(settings, moment, drawing or Drawing())
        findings = _validate(settings, checkpoint, values)
    _store(settings, checkpoint, moment, findings)
    write_data_docs(settings)
    failed = [finding for finding in findings if not finding.succeeded]
    failures = [finding.sentence for finding in failed if finding.check.blocking]
    warnings = [finding.sentence for finding in failed if not finding.check.blocking]
    return CheckpointResult(not failures, failures, warnings)


def _empty(settings: Settings, definition: Checkpoint, moment: datetime) -> list[Finding]:
    """One finding where there is nothing to check, else none."""
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass(%s)", (definition.relation,)).fetchone() == (None,):
            wanted = "exists (run: python -m warehouse transform)"
        elif connection.execute(definition.any_row, {"moment": moment}).fetchone() is None:
            wanted = f"has rows up to {moment:%Y-%m-%d %H:%M} UTC; nothing has landed yet"
        else:
            return []
    return [Finding(Check("expect_rows", definition.relation, wanted, {}), False, {})]


def _drawn(settings: Settings, moment: datetime, drawing: Drawing) -> dict[str, str]:
    """What stands in a query for the rows that a training draws evenly, as SQL."""
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        rows, of_grid, *_ = connection.execute(EXTENT, {"moment": moment}).fetchone() or (0, 0)
    grid, every = thinning(rows, of_grid, drawing.max_normal_rows)
    return {
        ":evenly": sql_evenly(grid, every),
        ":step": str(grid * every),
        ":grace": f"'{drawing.grace_minutes} minutes'::interval",
        ":lead": str(drawing.positive_hours),
    }


def _validate(settings: Settings, checkpoint: str, values: dict[str, str]) -> list[Finding]:
    # Nothing may leave this machine; read when the package is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral", user_agent_str=None)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_postgres(
        "warehouse", connection_string=url(settings, Role.SCORE) + "?application_name=millwright%20quality"
    )
    findings: list[Finding] = []
    try:
        for name, batch in CHECKPOINTS[checkpoint].batches.items():
            query = batch.query.strip()
            for word, stands_for in values.items():
                query = query.replace(word, stands_for)
            if batch.condensed:
                query = _outcome(settings, query)
            asset = source.add_query_asset(name=name, query=query)
            suite = context.suites.add(gx.ExpectationSuite(name=name))
            for item in batch.checks:
                suite.add_expectation(getattr(gx.expectations, item.expectation)(**item.arguments))
            validation = gx.ValidationDefinition(name=name, data=asset.add_batch_definition("all"), suite=suite)
            outcome = gx.Checkpoint(
                name=name,
                validation_definitions=[context.validation_definitions.add(validation)],
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": batch.key,
                    "include_unexpected_rows": False,
                },
            ).run()
            (results,) = outcome.run_results.values()
            findings += [
                Finding(item, bool(result.success), _observed(result.to_json_dict()))
                for item, result in zip(batch.checks, results.results, strict=True)
            ]
    finally:
        # It keeps one engine to look with and one to work with.
        source.get_execution_engine().close()
        source.get_engine().dispose()
    return findings


def _outcome(settings: Settings, query: str) -> str:
    """A query for the rows that `query` returns now: Great Expectations runs it again for every metric."""
    with connect(settings, Role.SCORE) as connection:
        cursor = connection.execute(query.encode())
        columns = cursor.description or []
        types = [sql.SQL(connection.adapters.types[column.type_code].name) for column in columns]
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        rows = [
            sql.SQL("({})").format(
                sql.SQL(", ").join(
                    sql.SQL("{}::{}").format(sql.Literal(value), kind) for value, kind in zip(row, types, strict=True)
                )
            )
            for row in cursor
        ]
        nothing = sql.SQL(", ").join(sql.SQL("NULL::{}").format(kind) for kind in types)
        body = sql.SQL("VALUES {}").format(sql.SQL(", ").join(rows)) if rows else sql.SQL("SELECT {}").format(nothing)
        where = sql.SQL("" if rows else " WHERE false")
        return sql.SQL("SELECT * FROM ({}) AS outcome ({}){}").format(body, names, where).as_string(connection)


def _observed(result: dict[str, Any]) -> dict[str, Any]:
    """The telling part of a result: the value seen, or the rows that fail and how many."""
    exception = result.get("exception_info") or {}
    messages = [
        str(part["exception_message"])
        for part in (exception, *(value for value in exception.values() if isinstance(value, dict)))
        if part.get("exception_message")
    ]
    if messages:
        return {"error": messages[0].splitlines()[0]}
    details = result.get("result", {})
    if "observed_value" in details:
        return {"value": details["observed_value"]}
    return {
        "failing_rows": details.get("unexpected_count", 0),
        "of": details.get("element_count", 0),
        "examples": [
            {key: _plain(value) for key, value in row.items()}
            for row in (details.get("unexpected_index_list") or [])[:5]
        ],
    }


def _plain(value: Any) -> str | int | float:
    """A value that JSON has: it knows no dates, no NaN and no infinities."""
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else str(value)


def _store(settings: Settings, checkpoint: str, moment: datetime, findings: list[Finding]) -> None:
    with connect(settings, Role.SCORE) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.data_quality_results "
            "(checkpoint, moment, expectation, subject, succeeded, blocking, observed, detail) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    checkpoint, moment, finding.check.expectation, finding.check.subject, finding.succeeded,
                    finding.check.blocking, Jsonb(finding.observed), finding.check.wanted,
                )
                for finding in findings
            ],
        )  # fmt: skip
