"""Connections break, and a server stands still."""

from __future__ import annotations

import signal
import time

from tests.e2e.faults.case import Cases
from tests.e2e.faults.matrix import Matrix


def test_dropped_connections(cases: Cases, matrix: Matrix) -> None:
    """Reset, one after another and twice in a row: the server still has what was not acknowledged."""
    made = cases.make()
    made.begin()
    for pause in (2.0, 0.3, 2.0, 1.1, 0.7):
        with made.outage():
            made.proxy.drop()
        time.sleep(pause)
    with made.outage():
        made.proxy.drop()
        time.sleep(0.8)
        made.proxy.drop()
    matrix.end(made, "TCP dropped", lossless=True)


def test_a_network_that_carries_nothing(cases: Cases, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    with made.outage():
        made.proxy.hold()
        time.sleep(6.0)
        made.proxy.carry()
    matrix.end(made, "network silent for 6 s", lossless=True)


def test_a_server_that_hangs(cases: Cases, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    for _ in range(2):
        with made.outage():
            made.field.signal(signal.SIGSTOP)
            time.sleep(9.0)
            made.field.signal(signal.SIGCONT)
        time.sleep(2.0)
    matrix.end(made, "server hung for 9 s", lossless=False)
