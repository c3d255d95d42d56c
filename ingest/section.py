"""What every section of `plant.yml` has in common."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _number(value: Any) -> float:
    # YAML reads 'yes' as true, and true would pass as 1.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"must be a number. Got: {value!r}")
    return float(value)


Number = Annotated[float, BeforeValidator(_number)]


class Section(BaseModel):
    """A mapping of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
