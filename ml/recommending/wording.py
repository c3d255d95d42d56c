"""What a recommendation says: what was seen, by how much, since when and where it moves, what to do, what it finds."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ml.features import MEASUREMENTS, WINDOWS
from ml.horizons import LIKELY
from ml.recommending.causes import FLAT_MINUTES, NOTABLE
from ml.recommending.circumstances import Circumstances, Part, Seen

MOST = 3
# Regimes from here on are phases of a start (dbt's macro `regime`), below it bands of load.
START_PHASE = 5
_COMBINATION = "an unusual combination of readings, none of them far out alone"
_NO_NORMAL = "what is normal for the machine {when} isn't known yet"
# From so many hours on they are told in days.
_DAYS_FROM = 72.0

ADVICE = {
    "reduce_speed": "Reduce speed to 60 %.",
    "schedule_maintenance": "Schedule a bearing or belt inspection within 24 h.",
    "check_blockage": "Check for a blockage.",
    "emergency_shutdown": "Shut down now.",
    "preventive_inspection": "Inspect at the next window.",
    "continue_operation": "Continue operation.",
}


def text(row: dict[str, Any], units: dict[str, str], precedent: bool, known: Circumstances | None = None) -> str:
    """A few sentences from a row of the feature mart with its score; `units` by measurement.

    Such as "Temperature 71 °C, 12 °C above its normal at this load for 18 min; vibration 7.4 mm/s, 3.1 mm/s above its
    normal at this load for 65 min, rising 0.9 mm/s per h. Schedule a bearing or belt inspection within 24 h. Bearing
    replaced 210 days ago; 1 in stock. Failure expected in about 5.2 h (3 to 9 h)."
    """
    known = known or Circumstances({})
    seen = observations(row, units, known.seen)
    likely = row.get("failure_24h") or 0.0
    nothing_seen = _before_failures(row) if likely >= LIKELY else _unseen(row)
    sentences = [_capital("; ".join(seen) or nothing_seen) + "."]
    if not precedent:
        sentences.append("No precedent.")
    sentences.append(ADVICE[row["action_code"]])
    sentences += [_capital(words) + "." for words in map(_upkeep, known.parts) if words]
    if likely >= LIKELY:
        sentences.append(f"Failure within 24 h: {min(likely, 0.99) * 100:.0f} %.")
    if row.get("estimated_ttf") is not None:
        sentences.append(_failure(row["estimated_ttf"], row.get("ttf_low"), row.get("ttf_high")))
    if row.get("over_gap"):
        sentences.append("Readings are missing in this window.")
    return " ".join(sentences)


def _unseen(row: dict[str, Any]) -> str:
    """Of readings none of which is far out by now: what was within the hour, which the score still sees, says more.

    A load that the machine never ran at has nothing to hold its readings against.
    """
    measured = [m for m in MEASUREMENTS if row.get(f"{m}_mean_5m") is not None]
    nothing_known = bool(measured) and all(row.get(f"{m}_deviation_5m") is None for m in measured)
    before = [
        (abs(deviation), m, f"was {abs(deviation):.1f} σ {_side(deviation)}", f"(mean of {w} min)")
        for m in measured
        for w in (15, 60)
        if (deviation := row.get(f"{m}_deviation_{w}m")) is not None and abs(deviation) >= NOTABLE
    ]
    if not before:
        return _NO_NORMAL.format(when=_when(row)) if nothing_known else _COMBINATION
    _, measurement, was, over = max(before)
    if nothing_known:
        return f"{_NO_NORMAL.format(when=_when(row))}; before, {measurement} {was} its normal {over}"
    return f"{measurement} is within its normal {_when(row)} again; it {was} it {over}"


def _before_failures(row: dict[str, Any]) -> str:
    """What a machine's history says where no reading does."""
    errors, failures, hours = (row.get(name) for name in ("errors_24h", "failures_90d", "hours_since_maintenance"))
    known = [f"{errors:.0f} error{'s' * (errors > 1)} in 24 h"] if errors else []
    known += [f"{failures:.0f} failure{'s' * (failures > 1)} in 90 days"] if failures else []
    known += [f"last maintenance {_days(hours / 24)}"] if hours is not None else []
    return "no reading is far out, but earlier failures began like this" + (": " if known else "") + ", ".join(known)


def held_back(count: int) -> str:
    """What the last recommendation that fits the budget says of those that don't."""
    if count == 1:
        return "1 more recommendation is held back by the alarm budget."
    return f"{count} more recommendations are held back by the alarm budget."


def observations(row: dict[str, Any], units: dict[str, str], seen: dict[str, Seen] | None = None) -> list[str]:
    """What is out of the ordinary, worst first, at most MOST; in spreads (σ) where `seen` lacks a measurement."""
    found: list[tuple[float, str]] = []
    for measurement in MEASUREMENTS:
        deviation = row.get(f"{measurement}_deviation_5m")
        if deviation is not None and abs(deviation) >= NOTABLE:
            item = (seen or {}).get(measurement)
            far = _far(row, measurement, deviation, units.get(measurement, ""), item)
            found.append((abs(deviation), far + _moving(row, measurement, deviation, units.get(measurement, ""), item)))
        flat = row.get(f"{measurement}_flat_minutes")
        if flat is not None and flat >= FLAT_MINUTES:
            found.append((NOTABLE, f"{measurement} {_stuck(round(flat), row.get(f'{measurement}_std_5m'))}"))
    found.sort(key=lambda pair: -pair[0])
    return [words for _, words in found[:MOST]]


def _far(row: dict[str, Any], measurement: str, deviation: float, unit: str, item: Seen | None) -> str:
    side = _side(deviation)
    mean = row.get(f"{measurement}_mean_5m")
    # Where the load changed within the window, a mean of baselines may lie on the other side: the spreads are true.
    if item is None or item.distance * deviation <= 0:
        now = f" {with_unit(mean, unit)}," if mean is not None else ""
        return f"{measurement}{now} {abs(deviation):.1f} σ {side} its normal {_when(row)}"
    place = f" ({item.position})" if item.position else ""
    words = (
        f"{measurement}{place} {with_unit(item.value, item.unit)}, {with_unit(abs(item.distance), item.unit)} {side}"
    )
    words += f" its normal {_when(row)}"
    if item.minutes_out:
        words += f" for {'at least ' if item.at_least else ''}{_duration(item.minutes_out)}"
    return words


def _when(row: dict[str, Any]) -> str:
    return "after a start" if (row.get("regime") or 0) >= START_PHASE else "at this load"


def _stuck(minutes: int, spread: float | None) -> str:
    """Of a count of the last hour's minutes, which may be over: `spread` is that of the last five."""
    if spread is not None and spread > 1e-9:
        return f"did not change at all in {minutes} of the last 60 min"
    return f"has not changed at all for {'at least ' if minutes >= 60 else ''}{minutes} min"


def _side(deviation: float) -> str:
    return "above" if deviation > 0 else "below"


def _moving(row: dict[str, Any], measurement: str, deviation: float, unit: str, item: Seen | None) -> str:
    """Where it moves, over the longest window in which it has been out: an hour's slope says little of a fault that is
    five minutes old. Nothing where the readings' noise would look like it."""
    out = [w for w in WINDOWS if _out_for(row, measurement, w, item)]
    minutes = max(out, default=min(WINDOWS))
    slope = row.get(f"{measurement}_slope_{minutes}m")
    # A slope against the deviation is a way back, which is not what is being warned of.
    if not slope or slope * deviation <= 0:
        return ""
    # Twice the standard error of a slope through as many minutes, as what they move it by from one end to the other.
    if item is not None and abs(slope) * minutes / 60 < 2 * sqrt(12 / minutes) * item.spread:
        return ""
    per = "h" if minutes == 60 else "min"
    return f", {'rising' if slope > 0 else 'falling'} {_rate(abs(slope) / (1 if per == 'h' else 60), unit, per)}"


def _out_for(row: dict[str, Any], measurement: str, minutes: int, item: Seen | None) -> bool:
    if item is not None and item.minutes_out is not None:
        return item.minutes_out >= minutes
    return bool(abs(row.get(f"{measurement}_deviation_{minutes}m") or 0.0) >= NOTABLE)


def _upkeep(part: Part) -> str:
    words = []
    if part.done is not None and part.days is not None:
        words.append(f"{part.component} {part.done} {_days(part.days)}")
    if part.stock is not None:
        name = "" if words else f"{part.component}: "
        lead = f" ({part.lead_days} days to get one)" if part.stock == 0 and part.lead_days else ""
        words.append(f"{name}{part.stock or 'none'} in stock{lead}")
    return "; ".join(words)


def _failure(hours: float, low: float | None, high: float | None) -> str:
    unit, each = ("days", 24.0) if hours >= _DAYS_FROM else ("h", 1.0)
    words = f"Failure expected in about {number(hours / each)} {unit}" if hours >= 1 else "Failure expected within 1 h"
    if low is not None and high is not None:
        words += f" ({number(max(low, 0.0) / each)} to {number(high / each)} {unit})"
    return words + "."


def _days(days: float) -> str:
    if days < 1:
        return "today"
    return "1 day ago" if days < 2 else f"{int(days)} days ago"


def _duration(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _rate(value: float, unit: str, per: str) -> str:
    return f"{with_unit(value, unit)} per {per}" if "/" in unit or not unit else f"{with_unit(value, unit)}/{per}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def with_unit(value: float, unit: str) -> str:
    """A value as people read it, with its unit."""
    return f"{number(value)} {unit}".strip()


def number(value: float, digits: int = 2) -> str:
    """`digits` of it below 10, one more from there on, and none after the point from 100 on unless they are asked."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.{max(digits - 2, 0)}f}"
    return f"{value:.{digits}g}" if size < 10 else f"{value:.{digits + 1}g}"
