"""High-water marks: a mapping for one tag, arrays for many, never backwards."""

import numpy as np
import pytest

from ingest.landing.marks import Marks
from ingest.readings import NO_TIME


def test_marks_only_move_forward() -> None:
    marks = Marks([7, 3, 900], [(7, 50)])
    marks.advance(np.array([3, 7], np.int32), np.array([10, 40]))
    assert dict(marks) == {3: 10, 7: 50}
    marks.advance(np.array([7], np.int32), np.array([60]))
    assert marks.of(np.array([900, 7, 7, 3], np.int32)).tolist() == [NO_TIME, 60, 60, 10]


def test_a_tag_without_values_is_not_in_it() -> None:
    marks = Marks([7, 3], [(7, 50)])
    assert (3 in marks, 8 in marks, marks.get(3), marks[7], len(marks)) == (False, False, None, 50, 1)
    with pytest.raises(KeyError):
        marks[3]
    assert not Marks([])
