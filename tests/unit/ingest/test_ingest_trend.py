"""Rise and fall within a window: what stood in it counts, however few values are kept."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.alerting.alarm import Instant
from ingest.alerting.trend import Trend

S = 1_000_000
VALUES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 9)), min_size=1, max_size=60)


def standing(values: list[tuple[int, int]], now_s: int, window_s: int) -> list[int]:
    """The values that stood at some time after `now_s - window_s`."""
    ends = [at for at, _ in values[1:]] + [now_s + 1]
    return [value for (_, value), end in zip(values, ends, strict=True) if end > now_s - window_s]


@given(VALUES, st.integers(0, 40))
def test_rise_and_fall_are_those_of_what_stood_in_the_window(steps: list[tuple[int, int]], quiet_s: int) -> None:
    trend, now, seen = Trend(30 * S), 0, list[tuple[int, int]]()
    for gap, value in steps:
        now += gap
        seen.append((now, value))
        trend.add(value, Instant(now * S, now * S), connected_us=0)
        stood = standing(seen, now, 30)
        assert (trend.rise_a_minute, trend.fall_a_minute) == (2 * (value - min(stood)), 2 * (max(stood) - value))
    before = trend.rise_a_minute, trend.fall_a_minute
    due_us, last = trend.due_us, seen[-1][1]
    left = trend.expire((now + quiet_s) * S)
    stood = standing(seen, now + quiet_s, 30)
    assert (trend.rise_a_minute, trend.fall_a_minute) == (2 * (last - min(stood)), 2 * (max(stood) - last))
    assert (left is None) == (due_us is None or due_us > (now + quiet_s) * S)
    if left is None:
        assert (trend.rise_a_minute, trend.fall_a_minute) == before


def test_a_fast_tag_takes_no_more_room_than_a_slow_one() -> None:
    trend = Trend(3600 * S)
    for number in range(100_000):
        trend.add(number % 7, Instant(number * 1000, number * 1000), connected_us=0)
    assert len(trend.lows) + len(trend.highs) < 20


def test_a_value_from_before_the_connection_is_no_base_for_a_rate() -> None:
    trend = Trend(60 * S)
    trend.add(50.0, Instant(0, 0), 0)
    trend.add(90.0, Instant(10 * S, 10 * S), connected_us=5 * S)
    assert trend.rise_a_minute == 0
    trend.add(91.0, Instant(11 * S, 11 * S), connected_us=5 * S)
    assert trend.rise_a_minute == 1
