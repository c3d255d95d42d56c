"""Limits of the plant file: what a value may reach, how fast it may change, and how patient its alarm is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal

from pydantic import Field, model_validator

from ingest.section import Number, Section

Severity = Literal["warning", "critical", "emergency"]
Direction = Literal["high", "low", "rising", "falling"]
SEVERITIES: Final[tuple[Severity, ...]] = ("warning", "critical", "emergency")
DIRECTIONS: Final[tuple[Direction, ...]] = ("high", "low", "rising", "falling")
# Of the limit, where `hysteresis` says nothing.
HYSTERESIS: Final = 0.02


class Bounds(Section):
    """Limits of one direction, in the tag's unit (`rising` and `falling`: in its unit a minute)."""

    warning: Number | None = None
    critical: Number | None = None
    emergency: Number | None = None

    def given(self) -> list[tuple[Severity, float]]:
        """The limits that are given, from mild to severe."""
        return [(severity, value) for severity in SEVERITIES if (value := getattr(self, severity)) is not None]


class Limits(Section):
    """Limits of a measurement or a tag: `high`, `rising` and `falling` must rise with severity, `low` must fall."""

    high: Bounds = Bounds()
    low: Bounds = Bounds()
    rising: Bounds = Field(Bounds(), description="rise within rate_window_s, as units a minute")
    falling: Bounds = Field(Bounds(), description="fall within rate_window_s, as units a minute")
    rate_window_s: Number = Field(60, ge=1, le=3600, description="stretch over which a change is measured")
    hysteresis: Number | None = Field(
        None,
        ge=0,
        description="an alarm clears this far inside its limit, in the tag's unit; 2 % of the limit if absent",
    )
    on_delay_s: Number = Field(
        0, ge=0, le=3600, description="how long a value must be beyond its limit; an emergency never waits"
    )
    off_delay_s: Number = Field(0, ge=0, le=3600, description="how long a value must be back before the alarm clears")
    deduplication_s: Number = Field(
        300, ge=0, le=86_400, description="no second alert of no greater severity within so long; emergencies excepted"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Limits:
        for direction in DIRECTIONS:
            given = [value for _, value in self.bounds(direction).given()]
            sign = -1.0 if direction == "low" else 1.0
            if any(sign * (later - earlier) <= 0 for earlier, later in pairwise(given)):
                order = "rise" if sign > 0 else "fall"
                raise ValueError(f"{direction} limits must {order} from warning to critical to emergency. Got: {given}")
            if direction in ("rising", "falling") and any(value <= 0 for value in given):
                raise ValueError(f"{direction} limits are amounts a minute and must be above 0. Got: {given}")
        high, low = self.high.given(), self.low.given()
        if high and low:
            top, bottom = high[0][1], low[0][1]
            if top <= bottom:
                raise ValueError(
                    f"the mildest high limit must be above the mildest low limit. Got: {top:g}, {bottom:g}"
                )
            if (self.hysteresis or 0) >= top - bottom:
                raise ValueError(
                    f"hysteresis must be smaller than the {top - bottom:g} between the mildest low and high limits,"
                    f" or no value would clear an alarm. Got: {self.hysteresis:g}"
                )
        return self

    def bounds(self, direction: Direction) -> Bounds:
        """The limits of one direction."""
        found: Bounds = getattr(self, direction)
        return found

    def margin(self, direction: Direction, limit: float) -> float:
        """How far inside `limit` its alarm clears."""
        if self.hysteresis is not None and direction in ("high", "low"):
            return self.hysteresis
        return HYSTERESIS * abs(limit)

    def each(self) -> Iterator[tuple[Direction, Severity, float]]:
        """Every limit that is given."""
        for direction in DIRECTIONS:
            for severity, value in self.bounds(direction).given():
                yield direction, severity, value


# Where the plant file says nothing about a measurement, and only in the unit that these figures are of.
DEFAULTS: Final[dict[str, tuple[tuple[str, ...], Limits]]] = {
    "temperature": (
        ("°C", "degC", "C", ""),
        Limits(high=Bounds(warning=80, critical=85, emergency=90)),
    ),
    "vibration": (
        ("mm/s", ""),
        Limits(high=Bounds(warning=3.5, critical=4.0, emergency=5.0)),
    ),
}


def default_limits(measurement: str, unit: str) -> Limits | None:
    """The limits of a measurement that the plant file leaves open."""
    units, limits = DEFAULTS.get(measurement, ((), None))
    return limits if unit in units else None
