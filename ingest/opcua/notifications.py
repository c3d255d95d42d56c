"""Encoded values into rows: one pass finds where the items are, numpy reads all of one layout at once.

An item is a client handle and a DataValue: a mask that says which fields follow, the value's type, the value, status,
source time and picoseconds, server time and picoseconds (OPC UA part 6, 5.2.2.17). Mask and type together are its
layout; where the type is of fixed width, items of one layout are records, and a run of them an array with a stride.
The values of a HistoryData are the same without handles: read as if each had the four bytes before it for one.
"""

from __future__ import annotations

import itertools
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.opcua.variants import (
    STRING,
    WIDTHS,
    Converted,
    MalformedError,
    convert,
    convert_elements,
    decoded,
    diagnostic_info_end,
    sized,
    variant_end,
)
from ingest.readings import HISTORY, NO_TIME, NUMBER, TEXT, Readings, Rows, empty_rows, to_datetime

HEARTBEAT: Final = 0xFFFF_FFFF
"""client handle of the server's own clock"""
Elements = Mapping[int, Sequence[tuple[int, int]]]
"""client handle of an array → the (index, tag id) of the elements that are tags"""

# Handles are tag ids, so that a row says by itself whose it is.
LARGEST_TAG: Final = 2**31 - 1
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
_BAD: Final = 0x8000_0000
_HANDLE: Final = np.dtype([("tag_id", "<i4")])
_CLOCK: Final = -1  # as HEARTBEAT reads with a sign
_SHORTEST_RUN: Final = 8

_VALUE: Final = 1
_TAIL: Final = (
    (2, "status", "<u4"),
    (4, "source_ts", "<i8"),
    (16, "", "<u2"),
    (8, "server_ts", "<i8"),
    (32, "", "<u2"),
)
_NULL, _BOOLEAN, _FLOAT, _DATE_TIME = 0, 1, 10, 13
_NUMBERS: Final = {
    1: "u1", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8", 10: "<f4", 11: "<f8",
}  # fmt: skip

# The protocol counts 100 ns since 1601; what is outside it, or after the year 9999, is cut to these.
_TICKS_2000: Final = 125_911_584_000_000_000
_LAST_TICK: Final = 2_650_467_743_990_000_000
_INT32: Final = struct.Struct("<i")


class _Layout:
    """Items with the same fields: `head` up to the value or the whole item, `tail` what follows the value."""

    def __init__(self, mask: int, kind: int | None) -> None:
        self.kind = kind
        self.value = _NUMBERS.get(kind, "") if kind is not None else ""
        fields, at = {}, 0
        for bit, name, form in _TAIL:
            if mask & bit:
                if name:
                    fields[name] = (form, at)
                at += np.dtype(form).itemsize
        self.times = [name for name in ("source_ts", "server_ts") if name in fields]
        self.has_status = "status" in fields
        self.tail = _record(fields, at)
        head = 5 if kind is None else 6 + WIDTHS.get(kind, 0)
        fields = {name: (form, head + offset) for name, (form, offset) in fields.items()}
        fields["tag_id"] = ("<i4", 0)
        if kind in (*_NUMBERS, _DATE_TIME):
            fields["value"] = (self.value or "<i8", 6)
        self.item = _record(fields, head + at)
        self.step = self.item.itemsize


def _record(fields: Mapping[str, tuple[str, int]], size: int) -> np.dtype[np.void]:
    forms, offsets = [form for form, _ in fields.values()], [offset for _, offset in fields.values()]
    return np.dtype({"names": list(fields), "formats": forms, "offsets": offsets, "itemsize": size})


def _layouts() -> list[_Layout | None]:
    """The layouts by mask and type << 8; None where those alone don't say how long an item is."""
    layouts: list[_Layout | None] = [None] * 65536
    for mask in range(64):
        if mask & _VALUE:
            for kind in (_NULL, *_NUMBERS, _DATE_TIME):
                layouts[mask | kind << 8] = _Layout(mask, kind)
        else:
            layouts[mask::256] = [_Layout(mask, None)] * 256
    return layouts


_LAYOUTS: Final = _layouts()
_ODD: Final = [_Layout(mask, 255) for mask in range(64)]


def decode_changes(body: bytes, received_us: int, connected_us: int, elements: Elements) -> tuple[Readings, int | None]:
    """The values of an encoded DataChangeNotification, and the server's clock (µs since 2000) where it was among them.

    Raises MalformedError, IndexError or struct.error where it is none.
    """
    (count,) = _INT32.unpack_from(body)
    if not -1 <= count <= len(body) // 5:
        raise MalformedError(f"{count} items in {len(body)} bytes")
    items = _Items(body, max(count, 0))
    _check_end(body, items.end)
    return items.readings(received_us, connected_us, elements)


def decode_history(body: bytes, handle: int, received_us: int, connected_us: int, elements: Elements) -> Readings:
    """The values of an encoded HistoryData, all of one node, by its client handle; raises as `decode_changes` does."""
    (count,) = _INT32.unpack_from(body)
    if not -1 <= count <= len(body) - 4:
        raise MalformedError(f"{count} values in {len(body)} bytes")
    # The walk looks at the byte behind a mask, which the last value may not have.
    items = _Items(body + b"\0", max(count, 0), handle)
    if items.end != len(body):
        raise MalformedError(f"the values end at {items.end} of {len(body)} bytes")
    return replace(items.readings(received_us, connected_us, elements)[0], origin=HISTORY)


def _check_end(body: bytes, at: int) -> None:
    """Nothing but diagnostics follows the items; a byte too many says that something has been misread."""
    (count,) = _INT32.unpack_from(body, at)
    at += 4
    if count > len(body) - at:
        raise MalformedError(f"{count} diagnostics in {len(body) - at} bytes")
    for _ in range(count):
        at = diagnostic_info_end(body, at)
    if at != len(body):
        raise MalformedError(f"the notification ends at {at} of {len(body)} bytes")


class _Items:
    """The items of a notification by layout: in runs, scattered, and odd ones whose value had to be looked at."""

    def __init__(self, body: bytes, count: int, handle: int | None = None) -> None:
        self._body = body
        self._count = count
        self._handle = handle
        self._overlap = 0 if handle is None else _HANDLE.itemsize
        self._runs: list[tuple[_Layout, int, int]] = []
        self._scattered: defaultdict[_Layout, list[int]] = defaultdict(list)
        self._odd: list[tuple[int, int, Any]] = []  # where it begins, where its value ends, the value
        self.end = self._walk()
        """where the last item ends"""

    def _walk(self) -> int:
        body, scattered, overlap = self._body, self._scattered, self._overlap
        at, left = 4 - overlap, self._count
        # The first may begin a run; after that, a few that are alike.
        before, alike = _LAYOUTS[body[at + 4] | body[at + 5] << 8] if left else None, _SHORTEST_RUN
        while left:
            layout = _LAYOUTS[body[at + 4] | body[at + 5] << 8]
            if layout is None:
                at = self._look_closer(at)
                left -= 1
                continue
            if layout is not before:
                before, alike = layout, 0
            elif alike < _SHORTEST_RUN:
                alike += 1
            elif left >= _SHORTEST_RUN:
                run = self._run(at, layout, left)
                self._runs.append((layout, at, run))
                at += (layout.step - overlap) * run
                left -= run
                alike = 0
                continue
            scattered[layout].append(at)
            at += layout.step - overlap
            left -= 1
        return at + overlap

    def _run(self, at: int, layout: _Layout, most: int) -> int:
        """How many items from `at` on have the layout of the first."""
        stride = layout.step - self._overlap
        count = min(most, (len(self._body) - at - self._overlap) // stride)
        if count < 2:
            return 1
        heads = np.ndarray((count,), "<u2", self._body, at + 4, (stride,))
        same = heads == heads[0] if layout.kind is not None else heads & 0xFF == heads[0] & 0xFF
        return count if np.count_nonzero(same) == count else int(same.argmin())

    def _look_closer(self, at: int) -> int:
        """Where the item at `at` ends, of a type whose values differ in length; its value is kept."""
        body, mask = self._body, self._body[at + 4]
        if mask >= len(_ODD):
            raise MalformedError(f"a DataValue of encoding {mask:#04x}")
        if body[at + 5] == STRING:
            end = sized(body, at + 6)
            null = body[at + 6 : at + 10] == b"\xff\xff\xff\xff"
            value = None if null else body[at + 10 : end].decode("utf-8", "surrogateescape")
        else:
            end = variant_end(body, at + 5)
            value = decoded(body, at + 5, end)
        self._odd.append((at, end, value))
        return end + _ODD[mask].tail.itemsize - self._overlap

    def readings(self, received_us: int, connected_us: int, elements: Elements) -> tuple[Readings, int | None]:
        """Rows of dtype ROW in the order of the items, without the clock's and those that only announce a value."""
        columns = _Columns(self._count)
        for layout, at, count in self._runs:
            stride = layout.step - self._overlap
            records = np.ndarray((count,), layout.item, self._body, at, (stride,))
            columns.add(layout, np.arange(at, at + count * stride, stride), records, records)
        for layout, starts in self._scattered.items():
            places = np.array(starts)
            records = self._at(layout.item, places)
            columns.add(layout, places, records, records)
        odd: defaultdict[_Layout, list[tuple[int, int]]] = defaultdict(list)
        for at, end, _ in self._odd:
            odd[_ODD[self._body[at + 4]]].append((at, end))
        for layout, extents in odd.items():
            places, ends = np.array(extents).T
            columns.add(layout, places, self._at(_HANDLE, places), self._at(layout.tail, ends))
        if self._handle is not None:
            columns.claim(self._handle)
        columns.put([(at, value) for at, _, value in self._odd], elements)
        return columns.readings(received_us, connected_us)

    def _at(self, record: np.dtype[np.void], places: NDArray[np.int64]) -> NDArray[np.void]:
        """Records that begin at any bytes: an array over the body that overlaps itself is indexed by them."""
        if not record.itemsize:
            return np.zeros(len(places), record)
        overlapping = np.ndarray((len(self._body) - record.itemsize + 1,), record, self._body, 0, (1,))
        records: NDArray[np.void] = overlapping[places]
        return records


class _Columns:
    """Rows to be, filled layout by layout and brought into the order of the items at the end."""

    def __init__(self, count: int) -> None:
        self._rows = empty_rows(count)
        self._places: list[NDArray[np.int64]] = []
        self._texts: list[str] = []
        self._filled = 0
        self._untimed: dict[str, list[slice]] = {"source_ts": [], "server_ts": []}
        self._clocks: list[int] = []

    def add(self, layout: _Layout, places: NDArray[np.int64], heads: NDArray[np.void], tails: NDArray[np.void]) -> None:
        """Items of one layout that begin at `places`: records with their handles and values, and with what follows."""
        part = slice(self._filled, self._filled + len(places))
        rows = self._rows[part]
        self._filled += len(places)
        self._places.append(places)
        rows["tag_id"] = heads["tag_id"]
        if layout.has_status:
            rows["status"] = tails["status"]
        for name, untimed in self._untimed.items():
            if name in layout.times:
                rows[name] = tails[name]  # as ticks
            else:
                untimed.append(part)
        if layout.kind == _FLOAT:
            rows["kind"] = NUMBER
            with np.errstate(invalid="ignore"):  # a signalling NaN is one like any other
                rows["value"] = heads["value"]
        elif layout.value:
            rows["kind"] = NUMBER
            rows["value"] = heads["value"] != 0 if layout.kind == _BOOLEAN else heads["value"]
        elif layout.kind == _DATE_TIME:
            times = _microseconds(heads["value"])
            self._clocks += times[heads["tag_id"] == _CLOCK].tolist()
            _put(rows, range(len(rows)), [convert(to_datetime(us)) for us in times.tolist()], self._texts)

    def claim(self, handle: int) -> None:
        """All rows are of one node."""
        self._rows["tag_id"] = handle

    def put(self, values: Sequence[tuple[int, Any]], elements: Elements) -> None:
        """Bring the rows into order; `values` are those of the items at these places that numpy couldn't read."""
        for name, untimed in self._untimed.items():
            self._rows[name] = _microseconds(self._rows[name])
            for part in untimed:
                self._rows[name][part] = NO_TIME
        places = self._places[0] if self._places else np.zeros(0, np.int64)
        if len(self._places) > 1:
            places = np.concatenate(self._places)
            order = np.argsort(places)
            self._rows, places = self._rows[order], places[order]
        if not values and not elements:
            return
        found = dict(
            zip(np.searchsorted(places, [at for at, _ in values]).tolist(), [v for _, v in values], strict=True)
        )
        arrays = np.flatnonzero(np.isin(self._rows["tag_id"], list(elements))).tolist() if elements else []
        wanted = {row: (elements[int(self._rows["tag_id"][row])], self._value(row, found)) for row in arrays}
        plain = [row for row in found if row not in wanted]
        _put(self._rows, plain, [convert(found[row]) for row in plain], self._texts)
        if wanted:
            self._spread(wanted)

    def _value(self, index: int, found: Mapping[int, Any]) -> Any:
        """The value of an item as Python knows it."""
        row = self._rows[index]
        if row["kind"] == TEXT:
            return self._texts[row["text"]]
        return float(row["value"]) if row["kind"] == NUMBER else found.get(index)

    def _spread(self, arrays: Mapping[int, tuple[Sequence[tuple[int, int]], Any]]) -> None:
        """A row for each element that is a tag in place of that of its array."""
        counts = np.ones(len(self._rows), np.int64)
        for index, (wanted, _) in arrays.items():
            counts[index] = len(wanted)
        firsts = np.cumsum(counts) - counts
        self._rows = np.repeat(self._rows, counts)
        for index, (wanted, value) in arrays.items():
            converted = convert_elements(value, [place for place, _ in wanted])
            rows = self._rows[firsts[index] : firsts[index] + len(wanted)]
            rows["tag_id"] = [tag_id for _, tag_id in wanted]
            _put(rows, range(len(rows)), converted, self._texts)

    def readings(self, received_us: int, connected_us: int) -> tuple[Readings, int | None]:
        """The rows, each with a source time: where it is missing the server's, else when it was received."""
        rows = self._rows
        strange = rows["tag_id"] < 0
        untimed = rows["source_ts"] == NO_TIME
        if np.count_nonzero(strange | untimed):
            kept = rows["tag_id"] != _CLOCK
            kept &= ~untimed | (rows["status"] != BAD_WAITING_FOR_INITIAL_DATA)
            rows["tag_id"][strange] = 0
            server = rows["server_ts"][untimed]
            rows["source_ts"][untimed] = np.where(server == NO_TIME, received_us, server)
            rows = rows[kept]
        mark_non_finite(rows)
        return Readings(rows, self._texts, received_us, connected_us), max(self._clocks, default=None)


def microseconds(ticks: int) -> int:
    """Microseconds since 2000 of a DateTime."""
    return min(max(ticks, 0), _LAST_TICK) // 10 - _TICKS_2000 // 10


def _microseconds(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same of many at once."""
    us: NDArray[np.int64] = np.maximum(ticks, 0)
    np.minimum(us, _LAST_TICK, out=us)
    us //= 10
    us -= _TICKS_2000 // 10
    return us


def _put(rows: Rows, places: Sequence[int], converted: Sequence[Converted], texts: list[str]) -> None:
    """Kind, value and text of the rows at `places`."""
    if converted:
        at = np.array(places)
        rows["kind"][at] = [kind for kind, _, _ in converted]
        rows["value"][at] = [number for _, number, _ in converted]
        numbered = itertools.count(len(texts))
        rows["text"][at] = [-1 if text is None else next(numbered) for _, _, text in converted]
        texts.extend(text for _, _, text in converted if text is not None)


def mark_non_finite(rows: Rows) -> None:
    """NaN and ±Inf are kept and bad: where the server says otherwise the code becomes Bad, its lower half stays."""
    finite = np.isfinite(rows["value"])
    if np.count_nonzero(finite) < len(rows):
        odd = ~finite & (rows["kind"] == NUMBER)
        status = rows["status"][odd]
        rows["status"][odd] = np.where(status & _BAD, status, _BAD | status & 0xFFFF)
