"""A collector that fails stops no other, and begins again; what no beginning again mends is raised."""

import asyncio
from typing import Any

import pytest

from ingest.errors import IngestError
from ingest.worker import keep


class Collecting:
    """Fails with the first of `failures`, and with the next the next time; collects when none is left."""

    def __init__(self, server: str, failures: list[Exception], runs: list[str]) -> None:
        self.server = server
        self._failures = failures
        self._runs = runs

    async def run(self, stop: asyncio.Event) -> None:
        self._runs.append(self.server)
        if self._failures:
            stop.set()  # as the collector does when its landing ends
            raise self._failures.pop(0)
        await stop.wait()

    def again(self, server: str) -> Any:
        return Collecting(server, self._failures, self._runs)


async def test_a_failure_begins_again_and_stops_no_other() -> None:
    stop, runs = asyncio.Event(), []  # type: ignore[var-annotated]
    bad: Any = Collecting("bad", [ValueError("odd"), OverflowError("big")], runs)
    good: Any = Collecting("good", [], runs)
    keeping = [asyncio.create_task(keep(one, stop, one.again, 0.01)) for one in (bad, good)]
    for _ in range(200):
        if runs.count("bad") == 3:
            break
        await asyncio.sleep(0.01)
    assert (runs.count("bad"), runs.count("good")) == (3, 1)
    assert not any(task.done() for task in keeping)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*keeping), 5)


async def test_what_nothing_mends_is_raised() -> None:
    stop, runs = asyncio.Event(), []  # type: ignore[var-annotated]
    taken: Any = Collecting("taken", [IngestError("another worker has it")], runs)
    with pytest.raises(IngestError, match="another worker"):
        await keep(taken, stop, taken.again, 0.01)
    assert runs == ["taken"]
    assert not stop.is_set()


async def test_a_stop_ends_the_wait_for_the_next_beginning() -> None:
    stop, runs = asyncio.Event(), []  # type: ignore[var-annotated]
    bad: Any = Collecting("bad", [ValueError("odd")], runs)
    keeping = asyncio.create_task(keep(bad, stop, bad.again, 3600.0))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(keeping, 5)
    assert runs == ["bad"]
