"""A worker's log: one line an event, on stderr, and no floods."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog

# A line that would come for each of a thousand tags, or each second of an outage, says nothing new by the tenth.
_MOST: Final = 10
_WINDOW_S: Final = 60.0


class Throttle:
    """Drops an event of a server after ten lines a minute; its next line says how many were dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[Any, Any], tuple[float, int]] = {}

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        key = (event.get("event"), event.get("server"))
        began, count = self._windows.get(key, (self._clock(), 0))
        if self._clock() - began >= _WINDOW_S:
            if count > _MOST:
                event["suppressed"] = count - _MOST
            began, count = self._clock(), 0
        self._windows[key] = (began, count + 1)
        if count >= _MOST:
            raise structlog.DropEvent
        return event


class _Bridge(logging.Handler):
    """What libraries log, as lines of ours: their tracebacks are cut to what went wrong."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip().splitlines()
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger("ingest").log(
            record.levelno,
            "library",
            logger=record.name,
            message=message[0] if message else "",
            **({"error": repr(error)} if error is not None else {}),
        )


def configure(form: str) -> None:
    """Log to stderr as `form` says, `text` (key=value) or `json`; warnings of libraries included."""
    # The client library logs the same trouble every second in tracebacks; the session tells it once.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)
    rendered: Any = structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    if form == "json":
        rendered = structlog.processors.JSONRenderer(default=str)
    structlog.configure(
        processors=[
            Throttle(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            rendered,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
