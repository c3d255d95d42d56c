"""How far a tag's value has risen and fallen within a window, with time as an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ingest.alarm import Instant


@dataclass
class Trend:
    """The values that stood within the last `window_us`: each stands until the next, so the first may be older."""

    window_us: int
    values: deque[tuple[Instant, float]] = field(default_factory=deque)

    def copy(self) -> Trend:
        """One to try a landing on."""
        return Trend(self.window_us, self.values.copy())

    def add(self, value: float, at: Instant, connected_us: int) -> None:
        """A good value, no older than the one before. What stood before the connection (our clock) is forgotten: nobody
        knows how long the change took.
        """
        if self.values and self.values[-1][0].local_us < connected_us:
            self.values.clear()
        self.values.append((at, value))
        self._slide(at.source_us)

    def expire(self, local_us: int) -> Instant | None:
        """Let go of what has left the window by our clock; returns when the last of it did, if anything has."""
        left = None
        while (due := self.due) is not None and due.local_us <= local_us:
            self.values.popleft()
            left = due
        return left

    @property
    def due(self) -> Instant | None:
        """When the oldest value leaves the window, if another follows it."""
        return self.values[1][0].plus(self.window_us) if len(self.values) > 1 else None

    @property
    def rise_a_minute(self) -> float:
        """From the lowest value of the window to the newest, as units a minute."""
        return self._a_minute(self.values[-1][1] - min(value for _, value in self.values))

    @property
    def fall_a_minute(self) -> float:
        """From the highest value of the window to the newest, as units a minute."""
        return self._a_minute(max(value for _, value in self.values) - self.values[-1][1])

    def _slide(self, source_us: int) -> None:
        while (due := self.due) is not None and due.source_us <= source_us:
            self.values.popleft()

    def _a_minute(self, change: float) -> float:
        return change * 60_000_000 / self.window_us
