"""The same faults with a server that shares no code with the collector: node-opcua."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.faults.case import Case, Cases
from tests.e2e.faults.field import node_opcua
from tests.e2e.faults.matrix import Matrix


def dropped(made: Case) -> None:
    for pause in (1.0, 0.3, 1.1):
        with made.outage():
            made.proxy.drop()
        time.sleep(pause)


def killed(made: Case) -> None:
    for pause in (0.4, 1.0, 0.1):
        time.sleep(pause)
        with made.outage():
            made.worker.kill()
            made.worker.start()


def hung(made: Case) -> None:
    with made.outage():
        made.field.signal(signal.SIGSTOP)
        time.sleep(9.0)
        made.field.signal(signal.SIGCONT)


def restarted(made: Case) -> None:
    with made.outage():
        made.field.kill()
        made.field.start()


def shifted(made: Case) -> None:
    with made.outage():
        made.field.kill()
        made.field.start("--shifted")


def expired(made: Case) -> None:
    with made.outage():
        made.field.tell("expire")


def deleted(made: Case) -> None:
    with made.outage():
        made.field.tell("delete", 1)
        time.sleep(2.0)
        made.field.tell("add", 1)


@pytest.mark.parametrize(
    ("fault", "befalls", "lossless"),
    [
        ("worker killed", killed, False),
        ("TCP dropped", dropped, True),
        ("server hung for 9 s", hung, False),
        ("server restarted", restarted, False),
        ("server restarted, namespaces shifted", shifted, False),
        ("session expired", expired, False),
        ("node deleted and added", deleted, False),
    ],
    ids=["killed", "dropped", "hung", "restarted", "shifted", "expired", "deleted"],
)
def test_an_independent_server(
    cases: Cases, matrix: Matrix, fault: str, befalls: Callable[[Case], None], lossless: bool
) -> None:
    made = cases.make(node_opcua())
    made.begin()
    befalls(made)
    matrix.end(made, fault, lossless=lossless)


def test_an_independent_server_that_keeps_history(cases: Cases, matrix: Matrix) -> None:
    made = cases.make(node_opcua(), "--history")
    made.begin()
    for befalls in (expired, killed):
        befalls(made)
    matrix.end(made, "session expired, worker killed; server keeps history", lossless=True)
