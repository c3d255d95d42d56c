"""Why a recommendation was made: what each measurement added, beside its normal range; rows of `ml.explanations`.

It follows publishing and never delays it: operators have the recommendation before its reasons are worked out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import class_row, dict_row

from ml import registry
from ml.errors import ModelError, RegistryError
from ml.features import FEATURES, MEASUREMENTS, WINDOWS, contract
from ml.recommending import circumstances
from ml.recommending.causes import FLAT_MINUTES, NOTABLE, has_precedent
from ml.recommending.circumstances import Seen
from ml.recommending.contributions import Contributions, Explainer
from ml.recommending.wording import number, with_unit
from ml.scorecard import SUPERVISED_WEIGHT
from warehouse.roles import Role, connect
from warehouse.settings import Settings

LOOK_BACK = timedelta(days=1)
TOP = 5
_log = logging.getLogger(__name__)
_MEANING = {
    "classifier": "probability of the action",
    "isolation": "mean depth of isolation, less is stranger",
    "t2": "T², how far out in directions that normal operation moves in",
    "q": "Q, how far out in directions that it never moves in",
    "largest": "surprise of the strangest feature by itself, −log10 of the share of normal time",
    "ahead": "share of the forest for a failure within 24 h",
}
_FEATURE = re.compile(
    r"(?P<measurement>\w+?)_(?:deviation_(?P<minutes>\d+)m|z_score_(?P<hours>\d+)h|(?P<flat>flat_minutes))$"
)
_UNITS = {"hours_since_maintenance": "h", "running_hours_24h": "h", "equipment_age_days": "d"}
_TARGETS = """
SELECT r.recommendation_id, r.equipment_id, r.timestamp AS window_end, r.action_code, r.confidence, r.model_version,
    s.precedent, f.features, f.contract
FROM ml.recommendations AS r
LEFT JOIN ml.scores AS s USING (score_id)
LEFT JOIN ml.scored_features AS f USING (score_id)
WHERE NOT EXISTS (SELECT FROM ml.explanations AS x WHERE x.recommendation_id = r.recommendation_id)
"""
_NEW = (
    f"{_TARGETS} AND r.shown_as IS NOT NULL AND r.timestamp > %(after)s AND r.timestamp <= %(moment)s"
    " ORDER BY r.timestamp"
)
_ONE = _TARGETS + " AND r.recommendation_id = %(recommendation_id)s"
# Of what has no baseline: the middle 95 % of the training's normal rows, of the machine's own where it had enough. What
# rises with the calendar has no normal range.
_RANGES = """
SELECT DISTINCT ON (feature)
    feature, CASE WHEN NOT is_clock THEN quantiles[3] END, CASE WHEN NOT is_clock THEN quantiles[98] END
FROM ml.reference WHERE model_version = %s AND equipment_id IN (%s, '') AND cardinality(quantiles) = 100
ORDER BY feature, equipment_id DESC
"""
_MEANS = [f"{m}_mean_{w}m" for m in MEASUREMENTS for w in WINDOWS]
_WINDOW = (
    f"SELECT missing_share_60m, bad_share_60m, {', '.join(_MEANS)} FROM marts.gold_ml_features"
    " WHERE equipment_id = %s AND window_end = %s"
)
_GAPS = """
SELECT t.measurement, greatest(g.from_ts, %(end)s - interval '1 hour'), least(g.to_ts, %(end)s), g.cause
FROM raw.sensor_gaps AS g JOIN raw.tags AS t USING (tag_id)
WHERE t.equipment_id = %(machine)s AND t.role = 'measurement' AND NOT g.repaired AND g.from_ts < %(end)s
    AND coalesce(g.to_ts, 'infinity') > %(end)s - interval '1 hour'
ORDER BY 2, 1
"""


@dataclass(frozen=True)
class Reason:
    """A row of `ml.explanations`."""

    rank: int
    channel: str
    feature: str
    measurement: str
    window_minutes: int
    value: float | None
    unit: str
    normal_low: float | None
    normal_high: float | None
    direction: str
    contribution: float
    base_value: float
    output_value: float
    model_version: str
    data_gaps: str | None


@dataclass(frozen=True)
class Explanation:
    """Of one recommendation; `reasons` by rank, all of them."""

    recommendation_id: str
    text: str
    model_version: str
    reasons: list[Reason]

    @property
    def top(self) -> list[Reason]:
        """At most five reasons, each of another measurement: what `serving.recommendation_reasons` shows."""
        found: dict[tuple[str, bool], Reason] = {}
        for reason in self.reasons:
            found.setdefault((reason.measurement, reason.feature.endswith("flat_minutes")), reason)
        return list(found.values())[:TOP]


def lines(explanation: Explanation) -> Iterator[str]:
    """An explanation for people, a line at a time."""
    yield explanation.text
    for place, reason in enumerate(explanation.top, start=1):
        yield f"{place}. {_told(reason)}"
    for channel in dict.fromkeys(reason.channel for reason in explanation.reasons):
        own = [reason for reason in explanation.reasons if reason.channel == channel]
        yield (
            f"{channel} ({_MEANING[channel]}): {own[0].output_value:.4g}, that is {own[0].base_value:.4g} and"
            f" {len(own)} contributions of {sum(reason.contribution for reason in own):+.4g} together"
        )
    yield f"Model version {explanation.model_version}."
    gaps = explanation.reasons[0].data_gaps if explanation.reasons else None
    yield f"Missing readings: {gaps}." if gaps else "No readings are missing in the last hour of the window."


def _told(reason: Reason) -> str:
    what = f"mean of {reason.window_minutes} min"
    if reason.feature.endswith("flat_minutes"):
        what = "unchanged"
    elif "_z_score_" in reason.feature:
        what = f"beside its last {reason.window_minutes // 60} h"
    name = f"{reason.measurement} ({what})" if reason.window_minutes else reason.measurement
    return f"{name}: {_beside_its_normal(reason)}; {reason.channel} {reason.contribution:+.3g}"


def _beside_its_normal(reason: Reason) -> str:
    value, low, high = reason.value, reason.normal_low, reason.normal_high
    if value is None:
        return "not measured"
    if low is None or high is None:
        unknown = ", and nothing is known to be normal there" if reason.direction == "missing" else ""
        return with_unit(value, reason.unit) + unknown
    # As many digits as tell what is beyond an end of the range from the end.
    digits = next((n for n in range(2, 7) if number(value, n) not in (number(low, n), number(high, n))), 6)
    now, least, most = (number(figure, digits) for figure in (value, low, high))
    return f"{now} {reason.unit}".strip() + f", {reason.direction} its normal {least} to {most} {reason.unit}".rstrip()


def explain_new(settings: Settings, moment: datetime) -> list[str]:
    """Explain what was shown or escalated within the last day and isn't explained yet; returns their ids.

    What can't be explained (its vector or its model's bundle is gone) is left to `python -m ml explain`, which says
    why.
    """
    explained: list[str] = []
    gone: set[str] = set()
    with connect(settings, Role.SCORE) as connection:
        targets = _read(connection, _NEW, {"moment": moment, "after": moment - LOOK_BACK})
        explainers = _Explainers(settings, circumstances.units(connection) if targets else {})
        for target in targets:
            if (version := target["model_version"]) in gone:
                continue
            try:
                if _explain(explainers, connection, target):
                    explained.append(target["recommendation_id"])
            except RegistryError as error:
                gone.add(version)
                _log.warning("recommendations of version %s stay unexplained: %s", version, error)
    return explained


def explain(settings: Settings, recommendation_id: str) -> Explanation:
    """The stored explanation of a recommendation, shown or held back, made now if it has none yet.

    Raises ModelError where there is no such recommendation, or nothing left to explain it with.
    """
    with connect(settings, Role.SCORE) as connection:
        row = connection.execute(
            "SELECT recommendation_text, model_version FROM ml.recommendations WHERE recommendation_id = %s",
            (recommendation_id,),
        ).fetchone()
        if row is None:
            raise ModelError(f"there is no recommendation {recommendation_id!r} in ml.recommendations")
        for target in _read(connection, _ONE, {"recommendation_id": recommendation_id}):
            if not _explain(_Explainers(settings, circumstances.units(connection)), connection, target):
                raise ModelError(
                    f"{recommendation_id} can't be explained: the vector it was scored from isn't kept, or has "
                    f"other features than models have by now"
                )
        with connection.cursor(row_factory=class_row(Reason)) as cursor:
            columns = ", ".join(Reason.__dataclass_fields__)
            reasons = cursor.execute(
                f"SELECT {columns} FROM ml.explanations WHERE recommendation_id = %s ORDER BY rank",  # type: ignore[call-overload]
                (recommendation_id,),
            ).fetchall()
    return Explanation(recommendation_id, row[0], row[1], reasons)


def _read(connection: psycopg.Connection, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()  # type: ignore[call-overload, no-any-return]


class _Explainers:
    """By model version, each made once; `units` are those of what machines measure, by machine and measurement."""

    def __init__(self, settings: Settings, units: dict[str, dict[str, str]]) -> None:
        self.units = units
        self._settings = settings
        self._made: dict[str, Explainer] = {}

    def __getitem__(self, version: str) -> Explainer:
        if version not in self._made:
            self._made[version] = Explainer(registry.load(self._settings, version))
        return self._made[version]


def _explain(explainers: _Explainers, connection: psycopg.Connection, target: dict[str, Any]) -> bool:
    if target["features"] is None or target["contract"] != contract():
        return False
    # jsonb keeps no order.
    vector = {name: _number(target["features"].get(name)) for name in FEATURES}
    action = target["action_code"] if has_precedent(target) else None
    explainer = explainers[target["model_version"]]
    parts = explainer(np.array(list(vector.values())), target["equipment_id"], action)
    key = (target["equipment_id"], target["window_end"])
    seen = {name[2:]: item for name, item in circumstances.seen(connection, [key], WINDOWS).items()}
    known = connection.execute(_RANGES, (target["model_version"], target["equipment_id"]))
    ranges = {feature: (low, high) for feature, low, high in known}
    units, means, gaps = explainers.units.get(key[0], {}), *_window(connection, *key)
    reasons = list(rank(parts, vector, seen, ranges, target["model_version"], gaps, units, means))
    names = ("recommendation_id", *Reason.__dataclass_fields__)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO ml.explanations ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"
            " ON CONFLICT DO NOTHING",
            [{"recommendation_id": target["recommendation_id"], **vars(reason)} for reason in reasons],
        )
    connection.commit()
    return True


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def rank(
    parts: list[Contributions],
    vector: dict[str, float],
    seen: dict[tuple[str, int], Seen],
    ranges: dict[str, tuple[float | None, float | None]],
    model_version: str,
    data_gaps: str | None,
    units: dict[str, str],
    means: dict[str, float | None],
) -> Iterator[Reason]:
    """Every contribution that isn't nothing, the strongest first: its share of what its channel says, by the channel's
    surprise and its weight in the score. What the machine has no sensor for comes last, for it is no reason to a
    person. `seen` is by measurement and minutes; `ranges` are the normal ones of features that aren't deviations;
    `units` has what the machine measures, `means` are the mart's, for what has no baseline."""
    found = []
    for part in parts:
        weight = SUPERVISED_WEIGHT if part.channel in ("classifier", "ahead") else 1 - SUPERVISED_WEIGHT
        found += [
            (weight * part.surprise * share, part, index)
            for index, share in enumerate(part.shares.tolist())
            if part.values[index] != 0
        ]

    def order(item: tuple[float, Contributions, int]) -> tuple[bool, float, str, int]:
        strength, part, index = item
        parsed = _FEATURE.match(part.names[index])
        return parsed is not None and parsed["measurement"] not in units, -strength, part.channel, index

    for place, (_, part, index) in enumerate(sorted(found, key=order), start=1):
        name = part.names[index]
        yield Reason(
            place, part.channel, name, *_measured(name, vector.get(name, float("nan")), seen, ranges, units, means),
            float(part.values[index]), part.base, part.output, model_version, data_gaps,
        )  # fmt: skip


def _measured(
    name: str,
    value: float,
    seen: dict[tuple[str, int], Seen],
    ranges: dict[str, tuple[float | None, float | None]],
    units: dict[str, str],
    means: dict[str, float | None],
) -> tuple[str, int, float | None, str, float | None, float | None, str]:
    """Measurement, minutes, value with unit, normal range and direction of a feature."""
    parsed = _FEATURE.match(name)
    if parsed is None:
        low, high = ranges.get(name, (None, None))
        return name, 0, *_beside(value, _UNITS.get(name, ""), low, high, value)
    measurement = parsed["measurement"]
    if parsed["flat"]:
        return measurement, 60, *_beside(value, "min", 0.0, float(FLAT_MINUTES), value)
    if parsed["hours"]:
        return measurement, 60 * int(parsed["hours"]), *_beside(value, "σ", -NOTABLE, NOTABLE, value)
    minutes = int(parsed["minutes"])
    item = seen.get((measurement, minutes))
    if np.isnan(value):
        # Not measured, or at a load that the machine has no baseline for.
        return (
            measurement,
            minutes,
            means.get(f"{measurement}_mean_{minutes}m"),
            units.get(measurement, ""),
            None,
            None,
            "missing",
        )
    if item is None:
        return measurement, minutes, *_beside(value, "σ", -NOTABLE, NOTABLE, value)
    reach = NOTABLE * item.spread
    return measurement, minutes, *_beside(item.value, item.unit, item.normal - reach, item.normal + reach, value)


def _beside(
    value: float, unit: str, low: float | None, high: float | None, deviation: float
) -> tuple[float | None, str, float | None, float | None, str]:
    if np.isnan(deviation) or np.isnan(value):
        return None, unit, low, high, "missing"
    direction = "within"
    if low is not None and high is not None:
        direction = "above" if value > high else "below" if value < low else direction
    return float(value), unit, low, high, direction


def _window(connection: psycopg.Connection, machine: str, end: datetime) -> tuple[dict[str, float | None], str | None]:
    """The means of a window by the mart's names; gaps of its hour in words, times in UTC, then how much is missing."""
    rows = connection.execute(_GAPS, {"machine": machine, "end": end})
    words = [
        f"{measurement} {since:%H:%M} to {f'{until:%H:%M}' if until else 'now'} ({cause})"
        for measurement, since, until, cause in rows
    ]
    with connection.cursor(row_factory=dict_row) as cursor:
        means = cursor.execute(_WINDOW, (machine, end)).fetchone() or {}  # type: ignore[call-overload]
    kinds = ((kind, means.pop(f"{kind}_share_60m", None)) for kind in ("missing", "bad"))
    words += [f"{value:.0%} of the hour's readings are {kind}" for kind, value in kinds if value and value >= 0.005]
    return means, "; ".join(words) or None
