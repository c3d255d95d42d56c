"""What a worker counts: quantiles within two per cent at any rate, one family a name, flat memory."""

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.landing.writer import Landed
from ingest.metrics import Lags, Metrics, Sample, registry_of

SAMPLE = Sample(
    connected=True, tags=4, missing=1, reconnects=2, clock_skew_s=-0.25, spool_bytes=74, spool_limit_bytes=1000,
    hours_left=7.5, landing=True,
)  # fmt: skip


def landed(*lags_s: float, now_us: int = 10**9, rejected: int = 0, overflows: int = 0) -> Landed:
    return Landed(len(lags_s), rejected, 1, overflows, now_us - (np.array(lags_s) * 1e6).astype(np.int64))


def test_quantiles_are_within_two_per_cent() -> None:
    lags = Lags()
    values = np.random.default_rng(1).lognormal(-2.0, 1.5, 20_000)
    for part in np.array_split(values, 7):
        lags.add(part)
    found = lags.turn()
    for quantile in (0.5, 0.99):
        assert found[quantile] == pytest.approx(np.quantile(values, quantile), rel=0.02)
    assert lags.recent() == found
    assert lags.turn() == {}


def test_lags_outside_all_buckets_are_counted() -> None:
    lags = Lags()
    lags.add(np.array([-3.0, 1e9]))
    assert lags.count.sum() == 2
    assert lags.recent()[0.5] < 0.001
    for _ in range(13):
        lags.turn()
    assert lags.recent() == {}


def test_the_interval_is_what_came_in_it() -> None:
    metrics = Metrics("main")
    metrics.landed(landed(0.1, 0.1, rejected=3), 10**9)
    first = metrics.take(2.0)
    assert (first["values_per_s"], first["rejected"]) == (1.0, 3.0)
    assert first["lag_ms_p99"] == pytest.approx(100.0, rel=0.02)
    assert metrics.take(2.0) == {"values_per_s": 0.0, "rejected": 0.0, "overflows": 0.0}


def test_the_exposition_has_each_name_once_and_each_server() -> None:
    servers = [Metrics("main"), Metrics('od"d\n')]
    servers[0].received(3, 111)
    servers[0].landed(landed(0.02, 0.3, 700.0, overflows=2), 10**9)
    servers[1].lost("outage")
    text = generate_latest(registry_of(lambda: [(metrics, SAMPLE) for metrics in servers])).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }
    main = ("server", "main")
    assert found["millwright_values_received_total", main] == 3
    assert found["millwright_received_bytes_total", main] == 111
    assert found["millwright_values_landed_total", main] == 3
    assert found["millwright_gaps_total", ("cause", "queue_overflow"), main] == 2
    assert found["millwright_gaps_total", ("cause", "outage"), ("server", 'od"d\n')] == 1
    assert found["millwright_lag_seconds_bucket", ("le", "0.025"), main] == 1
    assert found["millwright_lag_seconds_bucket", ("le", "600.0"), main] == 2
    assert found["millwright_lag_seconds_count", main] == 3
    assert found["millwright_lag_seconds_sum", main] == pytest.approx(700.32)
    assert found["millwright_lag_recent_seconds", ("quantile", "0.5"), main] == pytest.approx(0.3, rel=0.02)
    assert found["millwright_clock_skew_seconds", main] == -0.25
    assert found["millwright_spool_hours_left", main] == 7.5
    assert found["millwright_reconnects_total", main] == 2
    assert text.count("# HELP millwright_connected ") == 1
