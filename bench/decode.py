"""Decoding: values/s from the bytes of a PublishResponse to rows, beside asyncua's own decoder on the same bytes.

    python -m bench.decode

Once with 1,000 items of one layout, once thoroughly mixed: type, status and times change at every item. The two
decoders take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import typer
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from ingest.opcua.decoding import decode
from ingest.readings import Readings

ITEMS: Final = 1_000
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# Long enough for the clock; a round is one of each.
_SECONDS: Final = 0.2
_QUICK_SECONDS: Final = 0.02
_VALUES: Final = (
    (ua.VariantType.Double, 1.5),
    (ua.VariantType.Float, 2.5),
    (ua.VariantType.Int16, -3),
    (ua.VariantType.String, "RUNNING"),
    (ua.VariantType.UInt32, 5),
    (ua.VariantType.Boolean, True),
    (ua.VariantType.Int64, 6),
    (ua.VariantType.Byte, 7),
    (ua.VariantType.Int32, 8),
    (ua.VariantType.UInt16, 9),
    (ua.VariantType.Null, None),
)


def one_layout(items: int = ITEMS) -> bytes:
    """An encoded PublishResponse of Doubles with status and both times."""
    double = ua.VariantType.Double
    return _response([ua.DataValue(ua.Variant(1.5 * n, double), ua.StatusCode(0), NOW, NOW) for n in range(items)])


def mixed(items: int = ITEMS) -> bytes:
    """An encoded PublishResponse in which no item has the layout of the one before."""
    values = []
    for n in range(items):
        kind, value = _VALUES[n % len(_VALUES)]
        status = ua.StatusCode(0x8034_0000 if value is None else 0x480) if n % 3 else None
        values.append(ua.DataValue(ua.Variant(value, kind), status, NOW, NOW if n % 2 else None))
    return _response(values)


def _response(values: list[ua.DataValue]) -> bytes:
    changes = ua.DataChangeNotification()
    changes.MonitoredItems = [ua.MonitoredItemNotification(handle, value) for handle, value in enumerate(values, 1)]
    publish = ua.PublishResponse()
    publish.Parameters.SubscriptionId = 1
    publish.Parameters.NotificationMessage.SequenceNumber = 1
    publish.Parameters.NotificationMessage.NotificationData = [changes]
    encoded: bytes = struct_to_binary(publish)
    return encoded


def measure(rounds: int, quick: bool) -> dict[str, float]:
    """Medians over `rounds`: values/s of either decoder, and `ratio`; with `mixed_` those of mixed notifications."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    figures: dict[str, float] = {}
    for prefix, body in (("", one_layout()), ("mixed_", mixed())):
        _check(body)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds + 1):
            rates = _rate(partial(_decode, body), seconds), _rate(partial(_asyncua, body), seconds)
            if number:  # the first warms up
                ours.append(rates[0])
                theirs.append(rates[1])
        figures[f"{prefix}values_per_s"] = statistics.median(ours)
        figures[f"{prefix}asyncua_values_per_s"] = statistics.median(theirs)
        figures[f"{prefix}ratio"] = figures[f"{prefix}values_per_s"] / figures[f"{prefix}asyncua_values_per_s"]
    return figures


def _decode(body: bytes) -> Readings:
    return decode(Buffer(body), NOW, NOW).readings


def _asyncua(body: bytes) -> list[Any]:
    parameters = struct_from_binary(ua.PublishResponse, Buffer(body)).Parameters
    items: list[Any] = parameters.NotificationMessage.NotificationData[0].MonitoredItems
    return items


def _check(body: bytes) -> None:
    """Both read the same, or the figures compare nothing."""
    rows, items = _decode(body).rows, _asyncua(body)
    wanted = [(item.ClientHandle, item.Value.StatusCode.value) for item in items]
    if list(zip(rows["tag_id"].tolist(), rows["status"].tolist(), strict=True)) != wanted:
        raise RuntimeError("the decoders disagree")


def _rate(run: Callable[[], object], seconds: float) -> float:
    times = 0
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds or not times:
        run()
        times += 1
    return times * ITEMS / passed


def main(rounds: int = 5, quick: bool = False) -> None:
    for key, value in measure(rounds, quick).items():
        typer.echo(f"{key:28} {value:14,.1f}")


if __name__ == "__main__":
    typer.run(main)
