"""The plant's time zone, for schedules: Sunday at two is Sunday at two at the plant."""

from __future__ import annotations

from functools import lru_cache

from warehouse.settings import Settings


@lru_cache(maxsize=1)
def plant_zone() -> str:
    """The zone's name from the plant file that the environment names; raises PlantFileError where that is broken."""
    from ingest.plant import load_plant

    return load_plant(Settings().plant).timezone
