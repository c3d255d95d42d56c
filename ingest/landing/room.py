"""How long a spool lasts: what may still be written to it, at the rate of the last minutes."""

from __future__ import annotations

import math
import shutil
from collections import deque
from pathlib import Path
from typing import Final

WARNING_H: Final = 4.0
_WINDOW_S: Final = 300.0


class Room:
    """The room of the spool in `folder`, which is bounded by `limit_bytes` and by the disk, whichever ends first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.hours_left: float | None = None
        """inf where nothing comes, None until there are two observations"""
        self._folder = folder
        self._seen: deque[tuple[float, int]] = deque()
        self._warned_h = math.inf

    def observe(self, now_s: float, written_bytes: int, pending_bytes: int) -> None:
        """Note at `now_s` (a monotonic clock) what has been written since the start and what has not landed."""
        self._seen.append((now_s, written_bytes))
        while now_s - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        began_s, before = self._seen[0]
        if now_s <= began_s:
            return
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            free = 0  # a folder that is gone or can't be read takes nothing
        left = min(self.limit_bytes - pending_bytes, free)
        rate = (written_bytes - before) / (now_s - began_s)
        self.hours_left = max(left, 0) / rate / 3600 if rate else math.inf

    def warning(self) -> float | None:
        """Hours left, where that is little and hasn't been said: below four hours, and each time they have halved."""
        if self.hours_left is None:
            return None
        if self.hours_left > 2 * WARNING_H:
            self._warned_h = math.inf
        if self.hours_left < min(WARNING_H, self._warned_h / 2):
            self._warned_h = self.hours_left
            return self.hours_left
        return None
