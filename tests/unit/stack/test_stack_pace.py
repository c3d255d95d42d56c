"""The yardstick: a machine is compared by the same work, and none counts as faster than the one that limits are for."""

from __future__ import annotations

import pytest

from stack import pace


def test_the_middle_of_several_times_counts_and_never_as_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2.0, 0.3, 0.28, 0.1, 0.28, *[0.01] * pace.TIMES])
    monkeypatch.setattr(pace, "_timed", lambda: next(times))
    assert pace.slowness() == pytest.approx(0.28 / pace.REFERENCE_S)
    assert pace.slowness() == 1.0


def test_it_is_timed_here() -> None:
    assert pace._timed() > 0
