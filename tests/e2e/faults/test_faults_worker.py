"""The worker is killed or frozen, at whatever it is doing, and goes on."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.e2e.faults.case import Case, Cases
from tests.e2e.faults.field import ASYNCUA
from tests.e2e.faults.matrix import Matrix

FEW = 2


def kill_at_random(made: Case, times: int) -> None:
    """Kill the worker `times` times: while it collects, and now and then again while it is still coming up."""
    dice = random.Random(3)
    killed = 0
    while killed < times:
        time.sleep(dice.uniform(0.0, 1.5))
        with made.outage():
            made.worker.kill()
            made.worker.start()
            killed += 1
            while killed < times and dice.random() < 0.3:
                time.sleep(dice.uniform(0.2, 2.5))
                made.worker.kill()
                made.worker.start()
                killed += 1


@pytest.mark.timeout(900)
def test_a_killed_worker(cases: Cases, matrix: Matrix, pytestconfig: pytest.Config) -> None:
    times = pytestconfig.getoption("--kills")
    made = cases.make()
    made.begin()
    kill_at_random(made, times)
    matrix.end(made, "worker killed", times=times, lossless=False)
    # A killed worker's sessions and subscriptions are taken over or deleted, not piled up.
    assert max(line["subscriptions"] for line in made.field.events("monitored")) <= FEW


def test_a_worker_that_was_down_and_a_server_that_keeps_history(cases: Cases, matrix: Matrix) -> None:
    """For longer than its session lives, so that nothing but the server's history is left of it."""
    made = cases.make(ASYNCUA, "--history", session_timeout_s=5)
    made.begin()
    for seconds in (9.0, 0.0, 9.0):
        with made.outage():
            made.worker.kill()
            time.sleep(seconds)
            made.worker.start()
    matrix.end(made, "worker down, server keeps history", lossless=True)


def test_an_expired_session(cases: Cases, matrix: Matrix) -> None:
    """The server forgets a worker that has been silent for longer than its session may be; and one without a reason."""
    made = cases.make(session_timeout_s=5)
    made.begin()
    with made.outage():
        made.worker.signal(signal.SIGSTOP)
        time.sleep(9.0)
        made.worker.signal(signal.SIGCONT)
    with made.outage():
        made.field.tell("expire")
    matrix.end(made, "session expired", lossless=False)
