"""High-water marks: the newest source time that has landed of each tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ingest.readings import NO_TIME


class Marks(Mapping[int, int]):
    """Tag id → µs since 2000 of its newest landed value; tags without any are not in it.

    A mapping for those who ask for one tag, arrays for those who ask for all rows of a batch.
    """

    def __init__(self, tag_ids: Iterable[int], known: Iterable[tuple[int, int]] = ()) -> None:
        self._tag_ids = np.array(sorted(tag_ids), np.int32)
        self._marks = np.full(len(self._tag_ids), NO_TIME, np.int64)
        for tag_id, source_us in known:
            self._marks[np.searchsorted(self._tag_ids, tag_id)] = source_us

    def __getitem__(self, tag_id: int) -> int:
        place = int(np.searchsorted(self._tag_ids, tag_id))
        if place == len(self._tag_ids) or self._tag_ids[place] != tag_id or self._marks[place] == NO_TIME:
            raise KeyError(tag_id)
        return int(self._marks[place])

    def __iter__(self) -> Iterator[int]:
        return iter(self._tag_ids[self._marks != NO_TIME].tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._marks != NO_TIME))

    def of(self, tag_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The mark of each of `tag_ids`, all of them tags of this server; NO_TIME where there is none."""
        return self._marks[np.searchsorted(self._tag_ids, tag_ids)]

    def advance(self, tag_ids: NDArray[np.int32], source_us: NDArray[np.int64]) -> None:
        """Move the marks of `tag_ids`, each there once, up to `source_us`; a mark never goes back."""
        places = np.searchsorted(self._tag_ids, tag_ids)
        self._marks[places] = np.maximum(self._marks[places], source_us)
