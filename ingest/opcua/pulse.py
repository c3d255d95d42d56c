"""When each tag was last heard of and with what value: what tells a quiet tag from a dead one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from ingest.readings import NULL, NUMBER, TEXT, Readings

_LONGEST_PATIENCE_S: Final = 60.0


class Pulse:
    """The last sign of life of each of some tags; times are those of a monotonic clock, in seconds."""

    def __init__(self, tag_ids: Iterable[int]) -> None:
        self._tag_ids = np.array(sorted(tag_ids), np.int64)
        count = len(self._tag_ids)
        self._heard = np.zeros(count)
        self._asked = np.zeros(count)
        self._known = np.zeros(count)
        self._patience = np.full(count, np.inf)
        self._value = np.zeros(count)
        self._kind = np.full(count, NULL, np.uint8)
        self._texts: dict[int, str] = {}

    def begin(self, tag_ids: Sequence[int], patience_s: float, now: float) -> None:
        """Listen to tags whose silence is worth a question after `patience_s`; nothing is known of them yet."""
        at = np.searchsorted(self._tag_ids, tag_ids)
        self._heard[at] = self._asked[at] = self._known[at] = now
        self._patience[at] = patience_s
        self._kind[at] = NULL

    def end(self, tag_ids: Sequence[int]) -> None:
        """Expect nothing of these tags any more."""
        self._patience[np.searchsorted(self._tag_ids, tag_ids)] = np.inf

    def note(self, readings: Readings, now: float) -> None:
        """Take in what has come; rows of tags that are not ours are passed over."""
        rows = readings.rows
        at = np.searchsorted(self._tag_ids, rows["tag_id"])
        at[at == len(self._tag_ids)] = 0
        ours = self._tag_ids[at] == rows["tag_id"]
        if not ours.all():
            rows, at = rows[ours], at[ours]
        self._heard[at] = self._asked[at] = self._known[at] = now
        self._value[at] = rows["value"]
        self._kind[at] = rows["kind"]
        for row in rows[rows["kind"] == TEXT]:
            self._texts[int(row["tag_id"])] = readings.text(row) or ""

    def silent(self, now: float) -> list[int]:
        """Tags that are worth a question now: silent for as long again as they were when last asked about."""
        since = now - self._asked
        wait = np.maximum(self._patience, np.minimum(self._asked - self._heard, _LONGEST_PATIENCE_S))
        return [int(tag_id) for tag_id in self._tag_ids[since >= wait]]

    def asked(self, tag_ids: Sequence[int], now: float) -> None:
        """The server has been asked about these; they are still silent."""
        self._asked[np.searchsorted(self._tag_ids, tag_ids)] = now

    def confirm(self, tag_ids: Sequence[int], now: float) -> None:
        """The server says what the last values of these say."""
        self._known[np.searchsorted(self._tag_ids, tag_ids)] = now

    def heard(self, tag_id: int) -> float:
        """When a value of the tag came last."""
        return float(self._heard[np.searchsorted(self._tag_ids, tag_id)])

    def known(self, tag_id: int) -> float:
        """Until when nothing of the tag can have been missed."""
        return float(self._known[np.searchsorted(self._tag_ids, tag_id)])

    def differs(self, tag_id: int, kind: int, value: float, text: str | None, deadband: float | None = None) -> bool:
        """Whether a value is another than the last one that came; False where none has come or kinds can't be told."""
        at = np.searchsorted(self._tag_ids, tag_id)
        known = int(self._kind[at])
        if known not in (NUMBER, TEXT) or kind not in (NUMBER, TEXT):
            return False
        if kind != known:
            return True
        if kind == TEXT:
            return text != self._texts.get(tag_id)
        last = float(self._value[at])
        if math.isnan(value) or math.isnan(last):
            return math.isnan(value) != math.isnan(last)
        return abs(value - last) > deadband if deadband is not None else value != last
