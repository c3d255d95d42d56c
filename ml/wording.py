"""What a recommendation says: what was seen, by how much, since when it moves, and what to do."""

from __future__ import annotations

from typing import Any

from ml.features import MEASUREMENTS

# Said only where it is out of the ordinary, in spreads of the machine's own normal.
NOTABLE = 2.0
MOST = 3

ADVICE = {
    "reduce_speed": "Reduce speed to 60 %.",
    "schedule_maintenance": "Schedule a bearing or belt inspection within 24 h.",
    "check_blockage": "Check for a blockage.",
    "emergency_shutdown": "Shut down now.",
    "preventive_inspection": "Inspect at the next window.",
    "continue_operation": "Continue operation.",
}


def text(row: dict[str, Any], units: dict[str, str], action: str, hours: float | None, precedent: bool) -> str:
    """A sentence or three from a row of the feature mart; `units` by measurement.

    Such as "Vibration 7.4 mm/s, 6.2 σ above its normal at this load, rising 0.9 mm/s per h. Schedule a bearing or belt
    inspection within 24 h. Failure expected in about 5.2 h."
    """
    seen = observations(row, units)
    opening = "; ".join(seen) if seen else "an unusual combination of readings, none of them far out alone"
    sentences = [opening[0].upper() + opening[1:] + "."]
    if not precedent:
        sentences.append("No precedent.")
    sentences.append(ADVICE[action])
    if hours is not None:
        sentences.append(
            f"Failure expected in about {_number(hours)} h." if hours >= 1 else "Failure expected within 1 h."
        )
    if row.get("over_gap"):
        sentences.append("Readings are missing in this window.")
    return " ".join(sentences)


def observations(row: dict[str, Any], units: dict[str, str]) -> list[str]:
    """What is out of the ordinary, worst first, at most MOST of them."""
    found: list[tuple[float, str]] = []
    for measurement in MEASUREMENTS:
        deviation = row.get(f"{measurement}_deviation_5m")
        if deviation is not None and abs(deviation) >= NOTABLE:
            found.append((abs(deviation), _deviating(row, measurement, deviation, units.get(measurement, ""))))
        flat = row.get(f"{measurement}_flat_minutes")
        if flat is not None and flat >= 5:
            found.append((NOTABLE, f"{measurement} has not changed at all for {round(flat)} min"))
    found.sort(key=lambda pair: -pair[0])
    return [words for _, words in found[:MOST]]


def _deviating(row: dict[str, Any], measurement: str, deviation: float, unit: str) -> str:
    mean = row.get(f"{measurement}_mean_5m")
    side = "above" if deviation > 0 else "below"
    now = f" {_with_unit(mean, unit)}," if mean is not None else ""
    words = f"{measurement}{now} {abs(deviation):.1f} σ {side} its normal at this load"
    slope = row.get(f"{measurement}_slope_60m")
    # A slope against the deviation is a way back, which is not what is being warned of.
    if slope and slope * deviation > 0:
        words += f", {'rising' if slope > 0 else 'falling'} {_with_unit(abs(slope), unit)} per h"
    return words


def _with_unit(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".strip()


def _number(value: float) -> str:
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if size < 10 else f"{value:.1f}"
