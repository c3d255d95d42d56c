"""A quiet tag is asked about ever more rarely; a value that was never told is noticed."""

import math
from typing import Any

import numpy as np
import pytest

from ingest.opcua.pulse import Pulse
from ingest.readings import NUMBER, TEXT, Readings, empty_rows


def readings(*values: tuple[int, Any]) -> Readings:
    rows = empty_rows(len(values))
    texts: list[str] = []
    for row, (tag_id, value) in zip(rows, values, strict=True):
        row["tag_id"] = tag_id
        row["kind"] = TEXT if isinstance(value, str) else NUMBER
        if isinstance(value, str):
            row["text"] = len(texts)
            texts.append(value)
        else:
            row["value"] = value
    return Readings(rows, texts)


def test_a_silent_tag_is_asked_about_after_its_patience_and_then_ever_more_rarely() -> None:
    pulse = Pulse([5, 7])
    pulse.begin([5, 7], 2.0, 0.0)
    asked = []
    for now in np.arange(0.0, 300.0, 0.5):
        pulse.note(readings((7, 1.0)), float(now))
        if pulse.silent(float(now)) == [5]:
            pulse.asked([5], float(now))
            asked.append(float(now))
    assert asked == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 124.0, 184.0, 244.0]


def test_what_is_not_monitored_is_never_silent() -> None:
    pulse = Pulse([5])
    assert pulse.silent(1e9) == []
    pulse.begin([5], 2.0, 0.0)
    pulse.end([5])
    assert pulse.silent(1e9) == []


@pytest.mark.parametrize(
    ("last", "kind", "value", "text", "deadband", "differs"),
    [
        (1.0, NUMBER, 1.0, None, None, False),
        (1.0, NUMBER, 1.5, None, None, True),
        (1.0, NUMBER, 1.5, None, 0.5, False),
        (1.0, NUMBER, 1.6, None, 0.5, True),
        (math.nan, NUMBER, math.nan, None, None, False),
        (math.nan, NUMBER, 1.0, None, 0.5, True),
        ("on", TEXT, 0.0, "on", None, False),
        ("on", TEXT, 0.0, "off", None, True),
        ("on", NUMBER, 1.0, None, None, True),
    ],
)
def test_a_value_differs_from_the_last_one_that_came(
    last: Any, kind: int, value: float, text: str | None, deadband: float | None, differs: bool
) -> None:
    pulse = Pulse([3, 4])
    pulse.begin([3, 4], 2.0, 0.0)
    assert not pulse.differs(3, kind, value, text, deadband)  # nothing has come yet
    pulse.note(readings((2, 8.0), (3, 0.25), (9, 8.0), (3, last)), 1.0)
    assert pulse.differs(3, kind, value, text, deadband) is differs
    assert (pulse.heard(3), pulse.heard(4)) == (1.0, 0.0)


def test_what_the_server_confirms_is_known_until_then() -> None:
    pulse = Pulse([3])
    pulse.begin([3], 2.0, 0.0)
    pulse.confirm([3], 7.0)
    assert (pulse.heard(3), pulse.known(3)) == (0.0, 7.0)
