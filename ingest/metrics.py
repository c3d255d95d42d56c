"""What a worker counts and shows to Prometheus: a registry of its own, every figure by server."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.landing.writer import Landed

# Quantiles are read off buckets that grow by 2 %, from 0.1 ms to three hours: a sum of counts whatever the rate.
_GROWTH: Final = 1.02
_EDGES_S: Final = 1e-4 * _GROWTH ** np.arange(930)
_RECENT_TAKES: Final = 12
_SHOWN_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


@dataclass(frozen=True)
class Sample:
    """How a collector stands at this moment. `hours_left` is None until the rate is known, inf where nothing comes."""

    connected: bool
    tags: int
    missing: int
    reconnects: int
    clock_skew_s: float | None
    spool_bytes: int
    spool_limit_bytes: int
    hours_left: float | None
    landing: bool
    trouble: str | None = None


class Lags:
    """Times from tag change to commit, in seconds: recent quantiles, and counts since the start. Flat in memory."""

    def __init__(self) -> None:
        self.count = np.zeros(len(_SHOWN_S) + 1, np.int64)
        self.total_s = 0.0
        self._slot = np.zeros(len(_EDGES_S) + 1, np.int64)
        self._recent: deque[NDArray[np.int64]] = deque(maxlen=_RECENT_TAKES)

    def add(self, lags_s: NDArray[np.float64]) -> None:
        """Count lags; a clock that is ahead makes negative ones, which count as the smallest."""
        self.count += np.bincount(np.searchsorted(_SHOWN_S, lags_s), minlength=len(self.count))
        self.total_s += float(lags_s.sum())
        self._slot += np.bincount(np.searchsorted(_EDGES_S, lags_s), minlength=len(self._slot))

    def turn(self) -> dict[float, float]:
        """Quantiles (seconds) since the last turn, which begins a new one."""
        slot, self._slot = self._slot, np.zeros_like(self._slot)
        self._recent.append(slot)
        return _quantiles(slot)

    def recent(self) -> dict[float, float]:
        """Quantiles (seconds) of the last dozen turns and since; empty when nothing came."""
        return _quantiles(np.sum([self._slot, *self._recent], axis=0))


def _quantiles(counts: NDArray[np.int64]) -> dict[float, float]:
    total = int(counts.sum())
    if not total:
        return {}
    places = np.searchsorted(np.cumsum(counts), [0.5 * total, 0.99 * total])
    # The middle of the bucket, on the scale that it is narrow on.
    seconds = _EDGES_S[np.minimum(places, len(_EDGES_S) - 1)] / _GROWTH**0.5
    return dict(zip((0.5, 0.99), seconds.tolist(), strict=True))


class Metrics:
    """The counts of one server's collector; fed from the event loop and the landing thread, read from others."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.lags = Lags()
        self.losses: Counter[str] = Counter()
        self.received_values = self.received_bytes = 0
        self.batches = self.landed_values = self.rejected = self.overflows = self.transitions = 0
        self._lock = threading.Lock()
        self._taken = (0, 0, 0)

    def received(self, values: int, size: int) -> None:
        """Values that are on disk now, and the bytes that they take there."""
        with self._lock:
            self.received_values += values
            self.received_bytes += size

    def lost(self, cause: str) -> None:
        """A loss that goes into the ledger."""
        with self._lock:
            self.losses[cause] += 1

    def landed(self, landed: Landed, now_us: int) -> None:
        """A committed landing; `now_us` is the moment of the commit, µs since 2000."""
        with self._lock:
            self.batches += 1
            self.landed_values += landed.rows
            self.rejected += landed.rejected
            self.overflows += landed.overflows
            self.transitions += landed.transitions
            if landed.overflows:
                self.losses["queue_overflow"] += landed.overflows
            if len(landed.current_us):
                self.lags.add((now_us - landed.current_us) / 1e6)

    def take(self, seconds: float) -> dict[str, float]:
        """What happened in the `seconds` since the last take, as `ops.pipeline_metrics` keeps it."""
        with self._lock:
            now = (self.landed_values, self.rejected, self.overflows)
            rows, rejected, overflows = (after - before for after, before in zip(now, self._taken, strict=True))
            self._taken = now
            quantiles = self.lags.turn()
        metrics = {"values_per_s": rows / seconds, "rejected": float(rejected), "overflows": float(overflows)}
        return metrics | {f"lag_ms_p{round(q * 100)}": value * 1000 for q, value in quantiles.items()}

    def families(self, sample: Sample) -> Iterator[Metric]:
        """Everything as Prometheus families of one server."""
        with self._lock:
            for name, text, count in (
                ("values_received", "values taken from the server and durable on disk", self.received_values),
                ("received_bytes", "bytes that those took in the spool", self.received_bytes),
                ("batches_landed", "landing transactions", self.batches),
                ("values_landed", "rows that were new in the warehouse", self.landed_values),
                ("values_rejected", "readings that could not be used: raw.rejected_events", self.rejected),
                ("queue_overflows", "readings with the overflow bit: the server dropped values", self.overflows),
                ("alert_transitions", "alerts raised, escalated or cleared", self.transitions),
                ("reconnects", "connections that were lost", sample.reconnects),
            ):
                yield self._counter(name, text, count)
            gaps = CounterMetricFamily(
                "millwright_gaps", "losses by cause: raw.sensor_gaps", labels=["server", "cause"]
            )
            for cause, count in sorted(self.losses.items()):
                gaps.add_metric([self.server, cause], count)
            yield gaps
            yield self._histogram()
            recent = self.lags.recent()
        lag = GaugeMetricFamily(
            "millwright_lag_recent_seconds", "tag change to commit, last minute", labels=["server", "quantile"]
        )
        for quantile, seconds in recent.items():
            lag.add_metric([self.server, str(quantile)], seconds)
        yield lag
        for name, text, value in (
            ("connected", "1 while the server is connected and brings values", float(sample.connected)),
            ("tags", "tags that are subscribed", float(sample.tags)),
            ("tags_missing", "tags of plant.yml that the server doesn't have", float(sample.missing)),
            ("clock_skew_seconds", "server's clock minus ours; positive: it is ahead", sample.clock_skew_s),
            ("spool_bytes", "bytes on disk that have not landed", float(sample.spool_bytes)),
            ("spool_limit_bytes", "bytes at which values wait on the server", float(sample.spool_limit_bytes)),
            ("spool_hours_left", "hours until the spool is full at the present rate", sample.hours_left),
            ("landing", "1 while Postgres takes what comes", float(sample.landing)),
        ):
            if value is not None:
                gauge = GaugeMetricFamily(f"millwright_{name}", text, labels=["server"])
                gauge.add_metric([self.server], value)
                yield gauge

    def _counter(self, name: str, text: str, count: int) -> Metric:
        family = CounterMetricFamily(f"millwright_{name}", text, labels=["server"])
        family.add_metric([self.server], count)
        return family

    def _histogram(self) -> Metric:
        names = [*map(str, _SHOWN_S), "+Inf"]
        buckets = list(zip(names, np.cumsum(self.lags.count).tolist(), strict=True))
        family = HistogramMetricFamily("millwright_lag_seconds", "tag change to commit", labels=["server"])
        family.add_metric([self.server], buckets, self.lags.total_s)
        return family


class Exposition(Collector):
    """The figures of all servers of a worker, sampled when Prometheus asks."""

    def __init__(self, sources: Callable[[], Iterable[tuple[Metrics, Sample]]]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """One family a name, with a sample a server: a name may stand only once in an exposition."""
        merged: dict[str, Metric] = {}
        for metrics, sample in self._sources():
            for family in metrics.families(sample):
                if family.name in merged:
                    merged[family.name].samples.extend(family.samples)
                else:
                    merged[family.name] = family
        yield from merged.values()


def registry_of(sources: Callable[[], Iterable[tuple[Metrics, Sample]]]) -> CollectorRegistry:
    """A registry with the figures of `sources` and of the process (memory, CPU, open files)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Exposition(sources))
    return registry
