"""What is aimed at, and whether a run got there."""

from __future__ import annotations

import operator
from typing import Any

from bench.figures import AT_LEAST, AT_MOST

BELOW, ABOVE = "<", ">"
_HOLDS = {AT_LEAST: operator.ge, AT_MOST: operator.le, BELOW: operator.lt, ABOVE: operator.gt}


def aim(figure: str, value: float | None, sign: str, bound: float) -> dict[str, Any]:
    """An aim as the report shows it; a figure that a run could not give (None) is short of any."""
    held = value is not None and _HOLDS[sign](value, bound)
    return {"figure": figure, "value": value, "sign": sign, "bound": bound, "held": bool(held)}
