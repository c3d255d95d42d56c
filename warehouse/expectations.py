"""What is expected of the warehouse: the batches that are looked at (`warehouse.batches`), and the checks on each.

`training_set` looks at the rows that a training would thin `marts.ml_training_set` to, of all its time, and at the
newest seven days of `marts.gold_ml_features`, which that is a view of; docs/adr/0022 says which check reads what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warehouse import batches

MIN_TRAINING_ROWS = 1000
# Where a row stands for more than a machine's week, hardly a machine's regimes are in what is drawn.
FARTHEST_STEP = 7 * 24 * 60


@dataclass(frozen=True)
class Check:
    """One expectation: its name in Great Expectations, what it is about, and in words what it wants."""

    expectation: str
    subject: str
    wanted: str
    arguments: Mapping[str, Any]
    blocking: bool = True


@dataclass(frozen=True)
class Batch:
    """A query, the columns that name one of its rows, and the checks.

    A condensed one has few rows, from many: it is run once, and the checks are on its outcome.
    """

    query: str
    key: list[str]
    checks: tuple[Check, ...]
    condensed: bool = True


@dataclass(frozen=True)
class Checkpoint:
    """The relation it stands on, a query that returns a row unless there is nothing to check, and its batches."""

    relation: str
    any_row: str
    batches: Mapping[str, Batch]


def _between(column: str, subject: str, wanted: str, low: Any, high: Any, blocking: bool = True) -> Check:
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Check("ExpectColumnValuesToBeBetween", subject, wanted, arguments, blocking)


def _least(column: str, subject: str, wanted: str, low: float, blocking: bool = True) -> Check:
    return Check("ExpectColumnMinToBeBetween", subject, wanted, {"column": column, "min_value": low}, blocking)


def _most(column: str, subject: str, wanted: str, high: float, blocking: bool = True) -> Check:
    return Check("ExpectColumnMaxToBeBetween", subject, wanted, {"column": column, "max_value": high}, blocking)


CHECKPOINTS: Mapping[str, Checkpoint] = {
    "raw_landings": Checkpoint(
        relation="raw.sensor_events",
        any_row="SELECT 1 FROM raw.sensor_events WHERE source_ts <= %(moment)s LIMIT 1",
        batches={
            "landings": Batch(
                batches.LANDINGS,
                ["measurement", "unit"],
                (
                    Check(
                        "ExpectTableRowCountToBeBetween", "presence", "a measurement that has reported at all",
                        {"min_value": 1}, blocking=False,
                    ),
                    _between("from_the_future", "timestamps", "no live reading is more than a minute ahead", 0, 0),
                    _between("complete_share", "completeness", "99 % of good readings have a value", 0.99, 1),
                    _between("implausible_share", "ranges", "99 % of values are possible in their unit", 0, 0.01),
                    _between("good_share", "quality", "90 % of readings have a good status", 0.9, 1, blocking=False),
                    _between("covered_share", "gaps", "99 % of the time is without a gap", 0.99, 1, blocking=False),
                    _between("age_minutes", "freshness", "a reading in the last 15 minutes", None, 15, blocking=False),
                    _between(
                        "volume_ratio", "volume", "between half and twice the readings of a week ago", 0.5, 2,
                        blocking=False,
                    ),
                ),
            ),
            "plant": Batch(
                batches.PLANT,
                ["newest_reading"],
                (
                    _between(
                        "age_hours", "silence",
                        "something has landed within the day; of nothing new a model learns nothing new", None, 24,
                    ),
                    _between(
                        "covered_share", "lost time",
                        "no gap in half of the last week of all tags; a model learns of the rest only", 0.5, 1,
                    ),
                ),
            ),
        },
    ),
    "training_set": Checkpoint(
        relation="marts.ml_training_set",
        any_row="SELECT 1 FROM marts.gold_ml_features WHERE window_end <= %(moment)s LIMIT 1",
        batches={
            "drawn": Batch(
                batches.DRAWN,
                ["measurement", "unit", "first"],
                (
                    _least("drawn", "rows", f"at least {MIN_TRAINING_ROWS:,} rows", MIN_TRAINING_ROWS),
                    _most(
                        "step", "draw", f"a row drawn, and judged here, stands for at most {FARTHEST_STEP:,} minutes",
                        FARTHEST_STEP, blocking=False,
                    ),
                    _most("positive_share", "class balance", "at most half of the windows come before a failure", 0.5),
                    _least(
                        "positive_share", "precedents", "one window in a thousand comes before a failure", 0.001,
                        blocking=False,
                    ),
                    _between("impossible", "ranges of the set", "no row drawn has a mean impossible in its unit", 0, 0),
                    _between(
                        "far_out", "deviations of the set", "in every row drawn finite, within ± a million", 0, 0
                    ),
                ),
            ),
            "features": Batch(
                batches.FEATURES,
                ["equipment_id", "window_end"],
                (
                    Check("ExpectColumnValuesToNotBeNull", "equipment_id", "never null", {"column": "equipment_id"}),
                    Check("ExpectColumnValuesToNotBeNull", "window_end", "never null", {"column": "window_end"}),
                    Check(
                        "ExpectCompoundColumnsToBeUnique", "key", "equipment_id and window_end name one row",
                        {"column_list": ["equipment_id", "window_end"]},
                    ),
                    # NaN sorts above every number in Postgres, so a range finds it too.
                    *(
                        _between(column, column, "finite, within ± a million", -batches.FARTHEST, batches.FARTHEST)
                        for column in batches.DEVIATIONS
                    ),
                ),
                condensed=False,
            ),
            "measured": Batch(
                batches.MEASURED,
                ["measurement", "unit"],
                (
                    _between(
                        "complete_share", "completeness",
                        "99 % of the running minutes have had the measurement within the hour", 0.99, 1,
                    ),
                    _between("implausible_share", "ranges", "99 % of the means are possible in their unit", 0, 0.01),
                    _between(
                        "null_share", "deviations", "there for 80 % of the running minutes that have the measurement",
                        0, 0.2, blocking=False,
                    ),
                ),
            ),
            "newest": Batch(
                batches.NEWEST,
                ["mart"],
                (
                    _between("age_hours", "freshness", "the newest window ended within the day", None, 24),
                    _between("from_the_future", "timestamps", "no window ended before its readings were taken", 0, 0),
                    _between(
                        "volume_ratio", "volume", "between half and twice the rows of the week before", 0.5, 2,
                        blocking=False,
                    ),
                ),
            ),
        },
    ),
}  # fmt: skip
