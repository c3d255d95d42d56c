"""What the warehouse needs once a day: partitions of the days to come, and an end to what is past its retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warehouse.partitions import Partitions, keep_marts, keep_raw
from warehouse.retention import keep_rows
from warehouse.settings import Settings


@dataclass(frozen=True)
class Maintenance:
    """What one run did: to partitions, and how many rows went by table."""

    partitions: Partitions
    deleted: dict[str, int]


def maintain(settings: Settings, moment: datetime) -> Maintenance:
    """Make the partitions ahead of `moment` and let go what its retention has passed; safe to repeat."""
    return Maintenance(keep_raw(settings, moment) + keep_marts(settings, moment), keep_rows(settings, moment))
