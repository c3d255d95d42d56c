"""How far a tag's value has risen and fallen within a window, with time as an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ingest.alerting.alarm import Instant

# A value and when the next one took its place; the newest still stands.
_Stood = tuple[float, Instant | None]


@dataclass
class Trend:
    """The lowest and the highest value that stood within the last `window_us`.

    A value stands until the next, so one from before the window counts too. Kept is only what can still become the
    lowest or the highest, in order of time: a few values, however fast the tag is.
    """

    window_us: int
    newest: Instant | None = None
    lows: deque[_Stood] = field(default_factory=deque)
    highs: deque[_Stood] = field(default_factory=deque)

    def copy(self) -> Trend:
        """One to try a landing on."""
        return Trend(self.window_us, self.newest, self.lows.copy(), self.highs.copy())

    def add(self, value: float, at: Instant, connected_us: int) -> None:
        """A good value, no older than the one before. What stood before the connection (our clock) is forgotten: nobody
        knows how long the change took.
        """
        if self.newest is not None and self.newest.local_us < connected_us:
            self.lows.clear()
            self.highs.clear()
        self.newest = at
        for stood, sign in ((self.lows, 1.0), (self.highs, -1.0)):
            if stood:
                stood[-1] = (stood[-1][0], at)
            while stood and sign * stood[-1][0] >= sign * value:
                stood.pop()
            stood.append((value, None))
            while (ended := stood[0][1]) is not None and ended.source_us + self.window_us <= at.source_us:
                stood.popleft()

    def expire(self, local_us: int) -> Instant | None:
        """Let go of what has left the window by our clock; returns when the last of it did, if anything has."""
        left = None
        for stood in (self.lows, self.highs):
            while stood and (ended := stood[0][1]) is not None and ended.local_us + self.window_us <= local_us:
                stood.popleft()
                gone = ended.plus(self.window_us)
                left = gone if left is None else max(left, gone)
        return left

    @property
    def due_us(self) -> int | None:
        """When by our clock the next value leaves the window."""
        ended = [stood[0][1] for stood in (self.lows, self.highs) if stood]
        return min((at.local_us + self.window_us for at in ended if at is not None), default=None)

    @property
    def rise_a_minute(self) -> float:
        """From the lowest value of the window to the newest, as units a minute."""
        return (self.lows[-1][0] - self.lows[0][0]) * 60_000_000 / self.window_us

    @property
    def fall_a_minute(self) -> float:
        """From the highest value of the window to the newest, as units a minute."""
        return (self.highs[0][0] - self.highs[-1][0]) * 60_000_000 / self.window_us
