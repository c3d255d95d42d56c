"""A history that can't be read costs its gaps a try, and the connection nothing."""

from typing import Any

import psycopg
import pytest

from ingest.opcua import history as history_module
from ingest.opcua.decoding import MalformedError
from tests.integration.ingest.test_ingest_collector import collecting, eventually, field, here, landed, plant_of
from tests.integration.ingest.test_ingest_history import Field, away, keep_history, kept, ledger, soon
from warehouse.settings import Settings

__all__ = ["field", "here", "soon"]  # fixtures


async def test_a_garbled_answer_is_asked_for_again(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, answers = history_module.history, 0

    def garbled_once(*arguments: Any) -> Any:
        nonlocal answers
        answers += 1
        if answers == 1:
            raise MalformedError("a length of -7")
        return read(*arguments)

    monkeypatch.setattr(history_module, "history", garbled_once)
    storage = await keep_history(field, "T")
    async with away(field, here, admin, 20):
        await kept(storage, 30)
    async with collecting(here, plant_of(field)) as collector:
        await eventually(lambda: ledger(admin), [(True, "history")])
        assert collector.session.reconnects == 0
    assert landed(admin) == [float(number) for number in range(1, 31)]
    assert answers > 1
