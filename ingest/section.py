"""What the sections of `plant.yml` and of maps have in common."""

from __future__ import annotations

import math
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _number(value: Any) -> float:
    # YAML reads 'yes' as true, and true would pass as 1.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"must be a number. Got: {value!r}")
    return float(value)


def _known_timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"must be a name of the time-zone database such as Europe/Oslo. Got: {value!r}")
    return value


Number = Annotated[float, BeforeValidator(_number)]
TimeZone = Annotated[str, AfterValidator(_known_timezone)]


class Section(BaseModel):
    """A mapping of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
