"""The server restarts, with other namespace indices too, and one of its nodes goes and comes."""

from __future__ import annotations

import time

from tests.e2e.faults.case import Cases
from tests.e2e.faults.matrix import Matrix

GONE = 1


def test_a_restarted_server(cases: Cases, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    for pause in (0.0, 4.0):
        with made.outage():
            made.field.kill()
            time.sleep(pause)
            made.field.start()
        time.sleep(1.0)
    matrix.end(made, "server restarted", lossless=False)


def test_a_server_restarted_with_shifted_namespaces(cases: Cases, matrix: Matrix) -> None:
    """The same identifiers lie under the old indices: who keeps those gets another sensor's values."""
    made = cases.make()
    made.begin()
    for flags in (("--shifted",), ()):
        with made.outage():
            made.field.kill()
            made.field.start(*flags)
        time.sleep(1.0)
    namespaces = [line["namespaces"] for line in made.field.events("started")]
    assert namespaces[0] == namespaces[2] != namespaces[1]
    matrix.end(made, "server restarted, namespaces shifted", lossless=False)


def test_a_node_deleted_and_added_again(cases: Cases, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    with made.outage():
        made.field.tell("delete", GONE)
        time.sleep(3.0)
        made.field.tell("add", GONE)
    matrix.end(made, "node deleted and added", lossless=False)
