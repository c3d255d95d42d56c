"""The minute path on a large plant, beside the usual way of doing it and beside the least that could be done.

    python -m bench.warehouse --only minute

Two warehouses on one server take turns, one with a day of history and one with all of it, so that a machine that gets
slower meanwhile does so for both. Every round lands a minute of readings and runs `build(select="tag:minute")` in this
process, which is warm. `sql_s` is what the run's statements took, as dbt's connections saw them: all models, and the
run's own. `cpu_s` is what Postgres' processes had of the processors meanwhile, the one figure that other work on the
machine hardly touches. The usual way is `naive_features.sql`, on the machines that have a day of raw readings, times
their share.
"""

from __future__ import annotations

import shutil
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import typer
from psycopg import sql

from bench import history
from bench.figures import Figures
from bench.throwaway import throwaway_warehouse
from warehouse.migrate import create_databases
from warehouse.roles import Role, connect
from warehouse.settings import Settings

NAIVE = (Path(__file__).parent / "naive_features.sql").read_text(encoding="utf-8")
MOMENT = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
SAMPLED = 20
HOURS = 24
WARM_UP = 2
FLOOR = """
SELECT tag_id, date_trunc('minute', source_ts), count(*), sum(value), sum(value * value), min(value), max(value)
FROM new_minute GROUP BY 1, 2
"""
Run = tuple[float, dict[str, float], float]
Taken = dict[str, list[Run]]


def measure(rounds: int, quick: bool, equipment: int = 1000, days: int = 30) -> dict[str, Figures]:
    """`minute`, `naive` and `floor`: seconds, and ratios to the seconds of SQL of a minute."""
    hours, warm_up = HOURS, WARM_UP
    if quick:
        equipment, days, rounds, hours, warm_up = min(equipment, 4), min(days, 2), 1, 1, 0
    sampled = min(SAMPLED, max(1, equipment // 4))
    with throwaway_warehouse() as young:
        begun = time.monotonic()
        history.make_plant(young, equipment, sampled, days, hours, MOMENT)
        old = _clone(young)
        history.add_days(old, days - 1)
        typer.echo(
            f"history made in {time.monotonic() - begun:.0f} s: raw readings of {sampled} machines over {hours} hours,"
            f" rolled up and copied to {equipment} machines; {days - 1} days before, every {history.STEP}th minute",
            err=True,
        )
        taken = _rounds({"young": young, "old": old}, equipment, warm_up, rounds)
        sql_s, wall_s, cpu_s = _seconds(taken["old"])
        young_sql_s, young_wall_s, young_cpu_s = _seconds(taken["young"])
        _say_models(taken["old"])
        with connect(old, Role.ADMIN, autocommit=True) as admin:
            end = MOMENT + timedelta(minutes=warm_up + rounds)
            day_s, hour_s, floor_s = (
                _naive(admin, sampled, end, hours),
                _naive(admin, sampled, end, 1),
                _floor(admin, end),
            )
    share = equipment / sampled
    return {
        "minute": {
            "sql_s": sql_s,
            "wall_s": wall_s,
            "growth_30d": sql_s / young_sql_s,
            "sql_s_1d": young_sql_s,
            "wall_s_1d": young_wall_s,
            "cpu_s": cpu_s,
            "cpu_s_1d": young_cpu_s,
            "cpu_growth_30d": cpu_s / young_cpu_s,
            "equipment": equipment,
            "days": days,
            "readings": equipment * len(history.MEASUREMENTS) * 60,
            "history_step_minutes": history.STEP,
        },
        "naive": {
            "ratio": day_s * share / sql_s,
            "s": day_s * share,
            "ratio_hour": hour_s * share / sql_s,
            "s_hour": hour_s * share,
            "measured_equipment": sampled,
        },
        "floor": {"ratio": sql_s / floor_s, "s": floor_s},
    }


def _clone(settings: Settings) -> Settings:
    """A copy of the warehouse on the same server, with a place of its own for what dbt keeps."""
    clone = settings.model_copy(update={"pgdatabase": "history", "var": settings.var / "history"})
    clone.var.mkdir()
    shutil.copy(settings.var / "passwords.json", clone.var)
    with connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(clone.pgdatabase), sql.Identifier(settings.pgdatabase)
            )
        )
    create_databases(clone)  # grants on a database are not cloned with it
    return clone


def _rounds(warehouses: dict[str, Settings], equipment: int, warm_up: int, rounds: int) -> Taken:
    taken: Taken = {name: [] for name in warehouses}
    for number in range(warm_up + rounds):
        begin = MOMENT + timedelta(minutes=number)
        # Each is first every other time.
        for name in sorted(warehouses, reverse=bool(number % 2)):
            settings = warehouses[name]
            with connect(settings, Role.ADMIN, autocommit=True) as admin:
                for second in range(0, 60, 10):
                    since = begin + timedelta(seconds=second)
                    history.land(admin, equipment, since, since + timedelta(seconds=10))
                cpu_s = _cpu_s(admin)
                wall_s, by_model = history.transform(settings, begin + timedelta(minutes=1, seconds=2))
                cpu_s = _cpu_s(admin) - cpu_s
                _require_all(admin, equipment, begin + timedelta(minutes=1))
            if number >= warm_up:
                taken[name].append((wall_s, by_model, cpu_s))
    return taken


def _require_all(admin: psycopg.Connection, equipment: int, end: datetime) -> None:
    query = "SELECT count(temperature_mean_60m) FROM marts.gold_ml_features WHERE window_end = %s"
    if (found := admin.execute(query, (end,)).fetchone()) != (equipment,):
        raise RuntimeError(f"{equipment} machines were to have features at {end}. Got: {found}")


def _cpu_s(connection: psycopg.Connection) -> float:
    """Seconds of processor time that the server's processes have had: those that ended, and those that run."""
    postmaster = psutil.Process(connection.info.backend_pid).parent()
    if postmaster is None:
        raise RuntimeError("a backend has the postmaster as its parent")
    while True:
        try:
            running = [one.cpu_times() for one in postmaster.children()]
        except psutil.NoSuchProcess:  # it ended meanwhile, and is one of those that did
            continue
        ended = postmaster.cpu_times()
        return ended.children_user + ended.children_system + sum(one.user + one.system for one in (ended, *running))


def _seconds(runs: list[Run]) -> tuple[float, float, float]:
    """Medians: of SQL, of wall time, of the server's processor time."""
    return (
        statistics.median(sum(by_model.values()) for _, by_model, _ in runs),
        statistics.median(wall for wall, _, _ in runs),
        statistics.median(cpu for _, _, cpu in runs),
    )


def _say_models(runs: list[Run]) -> None:
    names = runs[0][1]
    medians = {name: statistics.median(by_model.get(name, 0.0) for _, by_model, _ in runs) for name in names}
    for name, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        typer.echo(f"  {seconds:6.2f} s  {name or 'the run itself'}", err=True)


def _naive(admin: psycopg.Connection, sampled: int, end: datetime, hours: int) -> float:
    """Seconds of the usual way for the `sampled` machines; its answers have to be the marts' own.

    Over one hour it has the windows up to 60 minutes right and no day's statistics.
    """
    admin.execute("SET work_mem = '256MB'")
    begun = time.perf_counter()
    rows = admin.execute(NAIVE, {"end": end, "hours": hours, "tags": sampled * len(history.MEASUREMENTS)}).fetchall()
    seconds = time.perf_counter() - begun
    found = {row[0]: row[1] for row in rows}
    expected: dict[str, float] = dict(
        admin.execute(
            "SELECT equipment_id, temperature_mean_60m FROM marts.gold_ml_features"
            " WHERE window_end = %s AND equipment_id <= %s",
            (end, f"M{sampled:06}"),
        ).fetchall()
    )
    if found.keys() != expected.keys() or any(abs(found[name] - expected[name]) > 1e-6 for name in expected):
        raise RuntimeError(f"the usual way and the marts differ at {end}: {found} and {expected}")
    return seconds


def _floor(admin: psycopg.Connection, end: datetime) -> float:
    """Seconds to read the newest minute's readings once and aggregate them: the median of five."""
    admin.execute(
        "CREATE TEMPORARY TABLE new_minute AS SELECT * FROM raw.sensor_events"
        f" WHERE source_ts >= '{end - timedelta(minutes=1)}' AND source_ts < '{end}'"
    )
    admin.execute("ANALYZE new_minute")
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        admin.execute(FLOOR).fetchall()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
