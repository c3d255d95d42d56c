"""`python -m ml`: train, score, publish, learn from answers, and decide which model does it."""

from __future__ import annotations

import getpass
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from ml.errors import ModelError
from warehouse.errors import WarehouseError
from warehouse.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Moment = Annotated[str | None, typer.Option("--moment", help="ISO 8601; the moment to work for, now if not given")]
Reason = Annotated[str | None, typer.Option("--reason", help="why, for the record")]


def _moment(given: str | None, option: str = "--moment") -> datetime:
    if given is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise ModelError(
            f"{option} must be an ISO 8601 timestamp such as 2026-01-31T08:00:00Z. Got: {given!r}"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command("score")
def score_command(
    moment: Moment = None,
    since: Annotated[str | None, typer.Option("--from", help="score a time line of the past from here")] = None,
    until: Annotated[str | None, typer.Option("--to", help="and up to here")] = None,
    version: Annotated[str | None, typer.Option(help="the version to replay with, the champion if not given")] = None,
) -> None:
    """Score what is new in the feature mart; with --from and --to, a time line of the past (role 'replayed')."""
    from ml import scoring

    at = _moment(moment)
    if since is None and until is None:
        result = scoring.score(Settings(), at)
        away = ", the registry is away" if result.registry_away else ""
        versions = ", ".join(f"{role} {name}" for role, name in result.versions.items())
        typer.echo(
            f"{result.windows} windows, {result.scored} scored, {result.superseded} superseded ({versions}{away})"
        )
        return
    if since is None or until is None:
        raise ModelError("--from and --to go together")
    begin, end = _moment(since, "--from"), _moment(until, "--to")
    if begin >= end:
        raise ModelError(f"--from must be before --to. Got: {since} and {until}")
    count = scoring.replay(Settings(), begin, end, at, version)
    typer.echo(f"{count} windows scored as replayed")


@app.command("publish")
def publish_command(moment: Moment = None) -> None:
    """Turn scores into recommendations; what isn't shown says why."""
    from ml.recommending.publishing import publish

    result = publish(Settings(), _moment(moment))
    held = ", ".join(f"{count} {kind}" for kind, count in result.held.items()) or "none"
    typer.echo(
        f"{result.candidates} candidates, {len(result.shown)} shown, held: {held}; {len(result.expired)} expired"
    )


@app.command("explain")
def explain_command(recommendation_id: str) -> None:
    """Why a recommendation was made: the measurements that spoke for it, beside their normal range."""
    from ml.recommending import explanations

    for line in explanations.lines(explanations.explain(Settings(), recommendation_id)):
        typer.echo(line)


@app.command("minute")
def minute_command(moment: Moment = None) -> None:
    """Score, then publish: what the schedule runs every minute."""
    from ml import minute

    result = minute.run(Settings(), _moment(moment))
    shown = len(result.publishing.shown)
    typer.echo(f"{result.scoring.scored} scored, {shown} shown, {result.seconds:.2f} s")


@app.command("sync-feedback")
def sync_feedback_command(moment: Moment = None) -> None:
    """Bring operators' answers to the warehouse, make labels of them and of what the CMMS says became of them."""
    from ml.learning import feedback

    result = feedback.sync(Settings(), _moment(moment))
    typer.echo(f"{result.answers} answers, {result.labels} labels, {result.outcomes} outcomes")


@app.command("train")
def train_command(
    moment: Moment = None,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="make the result champion if none can score")] = False,
) -> None:
    """Train a candidate on what was known at the moment, and evaluate it and the champion on later time."""
    from ml.learning import card, training

    result = training.train(Settings(), _moment(moment), bootstrap=bootstrap)
    version = f"version {result.model_version}, " if result.model_version else ""
    typer.echo(f"{result.training_id}: {result.outcome}, {version}{result.reason} ({result.seconds:.1f} s)")
    if result.model_version is None:
        raise typer.Exit(1)
    card.publish(Settings(), result.model_version)


@app.command("tune")
def tune_command(
    moment: Moment = None,
    trials: Annotated[int | None, typer.Option(min=1, help="as many, the policy's if not given")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="and as long, the policy's if not given")] = None,
) -> None:
    """Search for better parameters on the time before the held-out one; trainings use what is adopted."""
    from ml.learning import tuning
    from ml.policy import Policy

    budget = {"tuning_trials": trials, "tuning_minutes": minutes}
    policy = Policy().model_copy(update={name: value for name, value in budget.items() if value is not None})
    result = tuning.tune(Settings(), _moment(moment), policy)
    typer.echo(f"{result.tuning_id or '-'}: {result.reason} ({result.seconds:.1f} s)")


@app.command("card")
def card_command(version: str) -> None:
    """Write a version's model card and pictures anew, to MLflow and to the terminal."""
    from ml.learning import card

    typer.echo(card.publish(Settings(), version))


@app.command("reproduce")
def reproduce_command(version: str) -> None:
    """Make a version again from the same rows, seed and parameters, and compare its figures; exit 1 if any differs."""
    from ml.learning import reproduce

    result = reproduce.reproduce(Settings(), version)
    for line in result.lines():
        typer.echo(line)
    if not result.equal:
        raise typer.Exit(1)


@app.command("skew")
def skew_command(
    day: Annotated[str | None, typer.Option("--day", help="YYYY-MM-DD in UTC; yesterday if not given")] = None,
    moment: Moment = None,
) -> None:
    """Score a day's stored vectors again and compare; exit 1 if a score doesn't come out again."""
    from ml import skew

    at = _moment(moment)
    since, until = skew.day_of(at, day)
    result = skew.check(Settings(), since, until, at)
    if not result.checks and not result.untold:
        typer.echo(f"{since:%Y-%m-%d} (UTC) has no scores with a vector to make again")
    for line in (*(check.detail for check in result.checks), *result.untold):
        typer.echo(line)
    if not result.succeeded:
        raise typer.Exit(1)


@app.command("challenge")
def challenge_command(training_id: str, moment: Moment = None) -> None:
    """Gate 1: make a training's candidate the challenger if its figures allow it."""
    from ml.gates import decisions

    decision = decisions.challenge(Settings(), training_id, _moment(moment))
    typer.echo(f"{decision.outcome}: {decision.reason}")


@app.command("promote")
def promote_command(
    moment: Moment = None,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="without the gate; needs --reason")] = False,
    reason: Reason = None,
) -> None:
    """Gate 2: make the challenger champion if its shadow scores allow it."""
    from ml.gates import decisions

    by = getpass.getuser() if by_hand else None
    decision = decisions.promote(Settings(), _moment(moment), by=by, reason=reason)
    typer.echo(f"{decision.outcome}: {decision.reason}")


@app.command("rollback")
def rollback_command(
    reason: Annotated[str, typer.Option("--reason", help="why, for the record")], moment: Moment = None
) -> None:
    """Make the previous champion champion again."""
    from ml.gates import decisions

    decision = decisions.rollback(Settings(), _moment(moment), getpass.getuser(), reason)
    typer.echo(f"champion is {decision.candidate_version} again, {decision.champion_version} went")


@app.command("history")
def history_command(
    limit: Annotated[int, typer.Option(min=1)] = 20,
    every: Annotated[bool, typer.Option("--all", help="every figure of a decision, passed or not")] = False,
) -> None:
    """The last decisions of every gate, newest first."""
    from ml.gates import decisions

    rows = decisions.history(Settings(), limit)
    if not rows:
        typer.echo("no gate has decided anything yet: python -m ml train --bootstrap makes the first champion")
    for row in rows:
        typer.echo(
            f"{row['moment']:%Y-%m-%d %H:%M} {row['gate']}: {row['decision']} "
            f"(candidate {row['candidate'] or '-'}, champion {row['champion'] or '-'}, by {row['by']}) {row['reason']}"
        )
        for criterion in row["criteria"] if every else ():
            typer.echo(f"    {'passed' if criterion.passed else 'FAILED'}  {criterion.reason}")


@app.command("drift")
def drift_command(
    moment: Moment = None,
    days: Annotated[int, typer.Option(min=1, max=31, help="how many days before the moment are judged")] = 1,
    report: Annotated[Path | None, typer.Option(help="the page; var/docs/drift/DATE.html if not given")] = None,
) -> None:
    """Hold the last days against what the champion was trained on; drift is said, and is no failure."""
    from ml.drift.check import check

    # Each warning is said below.
    logging.getLogger("ml.drift").setLevel(logging.ERROR)
    result = check(Settings(), _moment(moment), days, report)
    for sentence in result.warnings:
        typer.echo(f"warning  {sentence}")
    typer.echo(
        f"{result.rows} windows of {result.machines} machines against version {result.version}: "
        f"{len(result.findings)} figures, {len(result.drifted)} drifted ({result.seconds:.1f} s)"
    )
    typer.echo(result.report)


@app.command("import-history")
def import_history_command(recommendations: Path, answers: Path) -> None:
    """Load past recommendations and operators' answers from CSV files."""
    from ml.learning.history import import_history

    result = import_history(Settings(), recommendations, answers)
    typer.echo(f"{result.recommendations} recommendations, {result.answers} answers")


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except (ModelError, WarehouseError) as error:
        typer.echo(str(error), err=True)
    except psycopg.OperationalError as error:
        if error.sqlstate is not None:  # a full disk or a cancelled statement: it was reached
            raise
        message = str(error).strip().splitlines()[0]
        typer.echo(f"Postgres can't be reached: {message}; python -m warehouse serve starts the embedded one", err=True)
    except psycopg.errors.UndefinedTable as error:
        message = str(error).splitlines()[0]
        typer.echo(f"{message}: python -m warehouse migrate and python -m warehouse transform make it", err=True)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"{error.filename}: {error.strerror}", err=True)
    else:
        return
    sys.exit(2)


if __name__ == "__main__":
    main()
