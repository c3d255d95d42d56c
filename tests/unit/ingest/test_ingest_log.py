"""The worker's log: an event a line, and a flood is ten lines a minute."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ingest import log
from ingest.log import Throttle


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The logging of the test run, as it was."""
    root, client = logging.getLogger(), logging.getLogger("asyncua")
    before = root.handlers[:], root.level, client.level
    yield
    root.handlers[:], root.level, client.level = before
    structlog.reset_defaults()


def passes(throttle: Throttle, **event: Any) -> dict[str, Any] | None:
    try:
        return dict(throttle(None, "info", dict(event)))
    except structlog.DropEvent:
        return None


def test_a_flood_is_ten_lines_a_minute_and_says_what_it_left_out() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    assert [passes(throttle, event="gap", server="a") is not None for _ in range(1000)].count(True) == 10
    assert passes(throttle, event="gap", server="b") == {"event": "gap", "server": "b"}
    assert passes(throttle, event="connected", server="a") is not None
    now[0] = 60.0
    assert passes(throttle, event="gap", server="a") == {"event": "gap", "server": "a", "suppressed": 990}
    now[0] = 120.0
    assert passes(throttle, event="gap", server="a") == {"event": "gap", "server": "a"}


def test_an_event_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    structlog.get_logger("ingest").warning("connect_failed", reason="no\nroute", server="main")
    (line,) = capsys.readouterr().err.splitlines()
    assert "level='warning' event='connect_failed'" in line
    assert r"reason='no\nroute'" in line


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    structlog.get_logger("ingest").bind(server="main").info("started", tags=3)
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["level"], event["server"], event["tags"]) == ("started", "info", "main", 3)


def test_a_librarys_traceback_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    try:
        raise ValueError("deep\ndown")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nfuture: …")
    logging.getLogger("asyncua.client").error("every second")
    (line,) = capsys.readouterr().err.splitlines()
    assert "level='error' event='library'" in line
    assert r"ValueError('deep\\ndown')" in line
