"""The wire's benchmark in its quick form: the worker, on a server that sends as fast as it takes, loses nothing."""

from bench import wire


def test_nothing_is_lost_at_full_speed() -> None:
    figures = wire.measure(1, quick=True)
    assert figures["lost"] == figures["lag_lost"] == figures["asyncua_lost"] == 0
    assert figures["values_per_s"] > figures["asyncua_values_per_s"] > 0
    assert figures["stub_values_per_s"] > figures["values_per_s"]
    assert figures["lag_p99_s"] >= figures["lag_p50_s"] > 0
