"""Notes lie between the readings they lie between, also while the disk has no room."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ingest import collector as collector_module
from ingest.collector import Collector
from ingest.landing.notes import Loss, Resumed, Verdict, is_note, note_from_bytes, note_to_bytes
from ingest.landing.spool import SpoolFullError
from ingest.plant import Plant
from ingest.readings import Readings, empty_rows, from_bytes, to_bytes
from warehouse.settings import Settings

PLANT = Plant.model_validate(
    {
        "plant_id": "P1",
        "name": "Plant",
        "timezone": "UTC",
        "servers": {"main": {"url": "opc.tcp://127.0.0.1:1"}},
        "equipment": {
            "PUMP": {
                "name": "Pump",
                "type": "pump",
                "server": "main",
                "tags": [{"node": "nsu=urn:x;s=T", "measurement": "temperature"}],
            }
        },
    }
)


@pytest.mark.parametrize(
    "note",
    [
        Loss("outage", "gone", 5, 3, None, "b1a1e7a0-0000-4000-8000-000000000000"),
        Loss("queue_overflow", "ü\n", 5, None, [1, 2]),
        Resumed("b1a1e7a0-0000-4000-8000-000000000000", 7),
        Verdict(1, 2, 3, 4, None),
        Verdict(1, 2, 3, 4, "none: why"),
    ],
)
def test_a_note_comes_back_as_it_was(note: Loss | Resumed | Verdict) -> None:
    assert is_note(note_to_bytes(note))
    assert note_from_bytes(note_to_bytes(note)) == note


@pytest.mark.parametrize(
    "payload", [b"N", b"N[]", b'N["Loss", {}]', b'N["Path", {}]', b"N\xff", b'N["Loss", {"x": 1}]']
)
def test_what_is_no_note_is_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a note"):
        note_from_bytes(payload)


def test_readings_are_no_note() -> None:
    assert not is_note(to_bytes(batch(1)))


def batch(value: int) -> Readings:
    rows = empty_rows(1)
    rows["value"], rows["tag_id"], rows["kind"] = value, 1, 1
    return Readings(rows, [], value, 0)


async def test_what_waits_for_room_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "_FULL_S", 0.01)
    made = Collector(Settings(var=tmp_path), PLANT, "main", {("main", "nsu=urn:x;s=T"): 1})
    append, full = made._spool.append, True

    def refuse(payload: bytes) -> None:
        if full:
            raise SpoolFullError("no room")
        append(payload)

    monkeypatch.setattr(made._spool, "append", refuse)
    first = asyncio.create_task(made.take(batch(1)))
    second = asyncio.create_task(made.take(batch(2)))
    gone = asyncio.create_task(made.take(batch(3)))
    await asyncio.sleep(0.05)
    gone.cancel()  # its connection has ended: it isn't acknowledged, and comes again
    loss_id = made.lost("queue_overflow", "full", None, [1])
    third = asyncio.create_task(made.take(batch(4)))
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in (first, second, third))
    full = False
    await asyncio.wait_for(asyncio.gather(first, second, third), 5)
    told = [
        note_from_bytes(payload) if is_note(payload) else np.round(from_bytes(payload).rows["value"]).tolist()
        for payload in made._spool.read(1 << 20)
    ]
    assert told[0] == [1.0]
    assert told[1] == [2.0]
    assert isinstance(told[2], Loss)
    assert told[2].loss_id == loss_id
    assert told[3:] == [[4.0]]
    made.discard()
