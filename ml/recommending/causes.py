"""What two recommendations on one machine have in common: the fault behind them, as far as it can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml.features import MEASUREMENTS
from ml.scorecard import NO_PRECEDENT, NO_PRECEDENT_CONFIDENCE

# What is out of the ordinary, in spreads of the machine's own normal.
NOTABLE = 2.0
# Less than this is no news: a value that is rounded may well repeat for a few minutes.
FLAT_MINUTES = 5
COMBINATION = "combination"


@dataclass(frozen=True)
class Cause:
    """An action and the measurement that is farthest out (`combination` where none is).

    Either alone would split a fault in two: the sensor that leads changes while a bearing wears (vibration, then
    heat), and between two actions the classifier may waver.
    """

    action: str
    measurement: str

    def same(self, other: Cause | None) -> bool:
        """Whether both are one fault. An inspection names none, so only its sensor counts; what isn't known is."""
        if other is None or self.unknown or other.unknown or self.measurement == other.measurement:
            return True
        return self.action == other.action != NO_PRECEDENT

    @property
    def unknown(self) -> bool:
        """Neither a fault nor a sensor: what a fault looks like before it shows."""
        return self.action == NO_PRECEDENT and self.measurement == COMBINATION

    def diagnoses(self, other: Cause | None) -> bool:
        """Whether it says what is to be done about what `other` could only have inspected."""
        return other is not None and self.same(other) and other.action == NO_PRECEDENT != self.action

    def __str__(self) -> str:
        return f"{self.action}/{self.measurement}"


def read(text: str | None) -> Cause | None:
    """The inverse of `str`; None for what was shown before causes were kept."""
    if not text:
        return None
    action, _, measurement = text.partition("/")
    return Cause(action, measurement)


def cause(row: dict[str, Any]) -> Cause:
    """Of a row of the feature mart with the score's `action_code`."""
    return Cause(row["action_code"], main_measurement(row))


def main_measurement(row: dict[str, Any]) -> str:
    """The measurement with the largest deviation over five minutes, else one that is stuck, else `combination`."""
    sizes = {m: abs(row.get(f"{m}_deviation_5m") or 0.0) for m in MEASUREMENTS}
    largest = max(MEASUREMENTS, key=lambda m: sizes[m])
    if sizes[largest] >= NOTABLE:
        return largest
    return next((m for m in MEASUREMENTS if (row.get(f"{m}_flat_minutes") or 0) >= FLAT_MINUTES), COMBINATION)


def has_precedent(row: dict[str, Any]) -> bool:
    """Whether the model knew something like it; inferred for scores from before that was kept with them."""
    known: bool | None = row.get("precedent")
    if known is not None:
        return known
    return not (row["action_code"] == NO_PRECEDENT and row["confidence"] <= NO_PRECEDENT_CONFIDENCE)
