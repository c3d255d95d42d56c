"""The contract of `gold_ml_features`, written from the `measurements` of dbt_project.yml: YAML can't loop a var."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from warehouse.settings import HOME

PROJECT = HOME / "dbt_project"
TARGET = PROJECT / "models" / "marts" / "features" / "gold_ml_features.yml"
HEAD = "# Written by `python -m warehouse describe-features` from the vars of dbt_project.yml; do not edit.\n"

Column = tuple[str, str, str]

CONTEXT: list[Column] = [
    ("equipment_id", "text", "The machine."),
    ("window_end", "timestamptz", "End of the minute, exclusive; the windows end here."),
    ("run_state", "text", "Last state reported up to the minute's end; NULL where none ever was."),
    ("is_running", "boolean", "run_state is running, or there is no state."),
    ("in_maintenance", "boolean", "A work order is started, MES has maintenance scheduled, or the state says so."),
    ("load_ratio", "double precision", "Mean of the load measurement in the minute, by rated load."),
    ("regime", "smallint", "Load band 0 to 4; 2 where the load is not known."),
]
STATISTICS = {
    "mean": "Mean of the minute means",
    "std": "Population standard deviation of the minute means",
    "min": "Least minute mean, over positions too,",
    "max": "Greatest minute mean, over positions too,",
    "deviation": "Mean distance from the baseline of the minute's regime, in its standard deviations; of several "
    "positions the farthest in each minute; NULL without a baseline;",
}
REST: list[Column] = [
    ("temperature_x_vibration", "double precision", "Product of the two 5-minute means."),
    ("bad_share_60m", "double precision", "Share of bad readings in the last 60 minutes."),
    ("missing_share_60m", "double precision", "Share of tag-minutes without a reading in the last 60 minutes."),
    ("over_gap", "boolean", "At least a twentieth of the last 60 minutes is missing."),
    ("hours_since_maintenance", "double precision", "Hours since a work order was last completed; NULL if never."),
    ("equipment_age_days", "double precision", "Days since commissioning."),
    ("hour_of_day", "smallint", "Hour of the minute, 0 to 23, in the plant's time zone."),
    ("weekday", "smallint", "Day of the week, 1 (Monday) to 7, in the plant's time zone."),
    ("available_at", "timestamptz", "When the plant could have known the last reading of the last 60 minutes."),
    ("built_xid", "xid8", "Transaction that wrote the row; the score watermark reads it."),
]


def columns(measurements: list[str], windows: list[int]) -> list[Column]:
    """Every column of the mart as (name, type, description), in its order."""
    features: list[Column] = []
    for measurement in measurements:
        features += [
            (f"{measurement}_{statistic}_{window}m", "double precision", f"{text} over the last {window} minutes.")
            for window in windows
            for statistic, text in STATISTICS.items()
        ]
        features.append(
            (
                f"{measurement}_slope_60m",
                "double precision",
                "Least-squares slope of the 5-minute means over the last hour, in units an hour.",
            )
        )
        features.append(
            (
                f"{measurement}_flat_minutes",
                "smallint",
                "Minutes of the last 60 in which a sensor looks stuck: 5 or more equal readings, or the least and "
                "greatest value of the minute before.",
            )
        )
    return [*CONTEXT, *features, *REST]


def render(variables: dict[str, Any]) -> str:
    """The YAML of the model as text."""
    described: list[dict[str, Any]] = []
    for name, data_type, description in columns(variables["measurements"], variables["windows"]):
        column: dict[str, Any] = {"name": name, "data_type": data_type, "description": description}
        if name in ("equipment_id", "window_end"):
            column["constraints"] = [{"type": "not_null"}]
        described.append(column)
    model = {
        "name": "gold_ml_features",
        "description": "One row per equipment and minute in which a tag of the machine reported: the features of the "
        "windows that end with the minute, as best known now.",
        "config": {"contract": {"enforced": True}},
        "data_tests": [{"unique_pair": {"arguments": {"first": "equipment_id", "second": "window_end"}}}],
        "columns": described,
    }
    return HEAD + yaml.safe_dump({"models": [model]}, sort_keys=False, width=110, allow_unicode=True)


def current() -> str:
    """What the file should say for the project's vars."""
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return render(project["vars"])


def write(target: Path = TARGET) -> Path:
    """Write the file and return its path."""
    target.write_text(current(), encoding="utf-8")
    return target
