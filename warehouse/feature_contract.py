"""The contract of `gold_ml_features`, written from the `measurements` of dbt_project.yml: YAML can't loop a var."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from warehouse.settings import HOME

PROJECT = HOME / "dbt_project"
TARGET = PROJECT / "models" / "marts" / "features" / "gold_ml_features.yml"
HEAD = "# Written by `python -m warehouse describe-features` from the vars of dbt_project.yml; do not edit.\n"

DESCRIPTION = (
    "One row per equipment and minute in which a tag of the machine reported: the features of the windows that end "
    "with the minute, as best known now. Its unit tests are in gold_ml_features_logic.yml."
)

Column = tuple[str, str, str]

CONTEXT: list[Column] = [
    ("equipment_id", "text", "The machine."),
    ("window_end", "timestamptz", "End of the minute, exclusive; the windows end here."),
    ("run_state", "text", "Last state reported up to the minute's end; NULL where none ever was."),
    ("is_running", "boolean", "run_state is running, and has been for the run-up, or there is no state."),
    ("in_maintenance", "boolean", "A work order is started, MES has maintenance scheduled, or the state says so."),
    ("load_ratio", "double precision", "Mean of the load measurement in the minute, by rated load."),
    ("regime", "smallint", "Load band 0 to 4, 2 where the load is not known; after a start its phase, 5 to 7."),
]
# By statistic: what it is, with {window} and, for what is taken over the steps of a window, {step}.
STATISTICS = {
    "mean": "Mean of the minute means over the last {window} minutes.",
    "std": "Population standard deviation of the minute means over the last {window} minutes.",
    "min": "Least minute mean, over positions too, over the last {window} minutes.",
    "max": "Greatest minute mean, over positions too, over the last {window} minutes.",
    "deviation": "Mean distance from the baseline of the minute's regime at its load, in the baseline's standard "
    "deviations; of several positions the farthest in each minute; over those of the last {window} minutes in which "
    "the machine ran and wasn't maintained; NULL without a baseline, and where they are less than a third of those "
    "told.",
    "slope": "Least-squares slope of the {step} over the last {window} minutes, in units an hour; NULL with fewer than "
    "two.",
    "rate_of_change": "Last of the {step} in the last {window} minutes less the first, by the time between them, in "
    "units an hour; NULL where either has no value.",
    "percentage_change": "Last of the {step} in the last {window} minutes less the first, in percent of the first's "
    "magnitude; NULL where either has no value or the first is 0.",
}
MEASURED: list[Column] = [
    (
        "mean_24h",
        "double precision",
        "Mean of the minute means, over positions too, in the 24 full hours before the hour of the minute.",
    ),
    ("std_24h", "double precision", "Their population standard deviation."),
    (
        "skewness_24h",
        "double precision",
        "Their skewness; NULL where the standard deviation is 0.",
    ),
    (
        "z_score_24h",
        "double precision",
        "Distance of the shortest window's mean from that of the 24 hours, in their standard "
        "deviations; NULL where that is 0.",
    ),
    (
        "flat_minutes",
        "smallint",
        "Minutes of the last 60 in which a sensor looks stuck: 5 or more equal readings, or the least and greatest "
        "value of the minute before.",
    ),
    (
        "bad_share_60m",
        "double precision",
        "Share of bad readings in the last 60 minutes; NULL where there is none at all.",
    ),
    (
        "missing_share_60m",
        "double precision",
        "Share of the last 60 minutes in which the tags of the measurement, as many as reported in one minute at most, "
        "have no reading; NULL where none reported.",
    ),
    (
        "set_point",
        "double precision",
        "Set point that held at the window's end, however long ago it was reported; NULL where there is none.",
    ),
]
PRODUCTS: dict[tuple[str, str], Column] = {
    ("temperature", "vibration"): (
        "temperature_x_vibration",
        "double precision",
        "Product of the two {step}-minute means.",
    ),
    ("power", "speed"): (
        "power_per_speed",
        "double precision",
        "Quotient of the two {step}-minute means; NULL where the speed is 0.",
    ),
}
REST: list[Column] = [
    ("bad_share_60m", "double precision", "Share of bad readings in the last 60 minutes."),
    ("missing_share_60m", "double precision", "Share of tag-minutes without a reading in the last 60 minutes."),
    (
        "over_gap",
        "boolean",
        "At least a twentieth of the last 60 minutes is missing, or lies in gaps of the ledger that were not repaired.",
    ),
    (
        "running_hours_24h",
        "double precision",
        "Hours in which the machine ran and was not maintained, of the 24 full hours before the hour of the minute, by "
        "the measurement that reported the most minutes; NULL where none did.",
    ),
    (
        "hours_since_maintenance",
        "double precision",
        "Hours since the latest maintenance or completed work order that was known by the window's end; NULL where "
        "none was.",
    ),
    ("failures_90d", "integer", "Failures that became known in the 90 days before the window's end."),
    ("errors_24h", "integer", "Entries of the error log that became known in the 24 hours before the window's end."),
    ("equipment_age_days", "double precision", "Days since commissioning."),
    ("hour_of_day", "smallint", "Hour of the minute, 0 to 23, in the plant's time zone."),
    ("weekday", "smallint", "Day of the week, 1 (Monday) to 7, in the plant's time zone."),
    (
        "available_at",
        "timestamptz",
        "When the plant could have known the last of the readings, states, set points, work orders and schedules that"
        " the row is made of.",
    ),
    ("built_xid", "xid8", "Transaction that wrote the row; the score watermark reads it."),
]


def columns(measurements: list[str], windows: list[int]) -> list[Column]:
    """Every column of the mart as (name, type, description), in its order."""
    features: list[Column] = []
    for measurement in measurements:
        for window in windows:
            step = "minute means" if window == windows[0] else f"{windows[0]}-minute means"
            features += [
                (f"{measurement}_{statistic}_{window}m", "double precision", text.format(window=window, step=step))
                for statistic, text in STATISTICS.items()
            ]
        features += [(f"{measurement}_{name}", data_type, text) for name, data_type, text in MEASURED]
    features += [
        (name, data_type, text.format(step=windows[0]))
        for pair, (name, data_type, text) in PRODUCTS.items()
        if set(pair) <= set(measurements)
    ]
    return [*CONTEXT, *features, *REST]


def render(variables: dict[str, Any]) -> str:
    """The YAML of the model as text."""
    lines = [HEAD.rstrip("\n"), "models:", "- name: gold_ml_features"]
    for name, value in (
        ("description", DESCRIPTION),
        ("config", {"contract": {"enforced": True}}),
        ("data_tests", [{"unique_pair": {"arguments": {"first": "equipment_id", "second": "window_end"}}}]),
    ):
        lines.append(f"  {name}: {_flow(value)}")
    lines.append("  columns:")
    for name, data_type, description in columns(variables["measurements"], variables["windows"]):
        column: dict[str, Any] = {"name": name, "data_type": data_type, "description": description}
        if name in ("equipment_id", "window_end"):
            column["constraints"] = [{"type": "not_null"}]
        lines.append(f"  - {_flow(column)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    """A value as one line of YAML: hundreds of columns are read as a table."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def current() -> str:
    """What the file should say for the project's vars."""
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return render(project["vars"])


def write(target: Path = TARGET) -> Path:
    """Write the file and return its path."""
    target.write_text(current(), encoding="utf-8")
    return target
