"""Episodes partition the raised windows, whatever their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.episodes import MINUTE, episodes, machine_weeks


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "Ä"]), st.integers(0, 500), st.booleans()), max_size=60))
def test_every_raised_window_is_in_exactly_one_episode_and_gaps_part_them(rows):
    equipment = np.array([row[0] for row in rows], dtype=object)
    ends = np.array([row[1] * MINUTE for row in rows], dtype=np.int64)
    raised = np.array([row[2] for row in rows], dtype=bool)
    found = episodes(equipment, ends, raised, merge_minutes=10)
    assert found.windows.sum() == raised.sum()
    for machine in set(equipment):
        times = np.sort(ends[(equipment == machine) & raised])
        gaps = int((np.diff(times) > 10 * MINUTE).sum())
        assert (found.equipment == machine).sum() == (gaps + 1 if len(times) else 0)
        own = found.equipment == machine
        assert np.all(found.start[own][1:] - found.end[own][:-1] > 10 * MINUTE)


def test_machine_weeks_count_running_time():
    assert machine_weeks(np.full(1008, "A", dtype=object), step_minutes=10) == 1.0
