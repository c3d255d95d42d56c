"""What has been taken from a server and has not landed yet: checksummed records in segments of an append-only file.

A record is 4 bytes of length, 4 of CRC-32, and the payload. `append` and `sync` make payloads durable (one fsync for
all that came meanwhile), `read` gives durable ones in order, `trim` forgets what has landed. After a crash everything
that was not trimmed is read again; the landing is idempotent, so that is only repeated work.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.errors import IngestError

_RECORD: Final = struct.Struct("<II")
_SEGMENT_BYTES: Final = 8 << 20
# A drained segment is closed early, so that a restart repeats little.
_DRAINED_BYTES: Final = 256 << 10


class SpoolTakenError(IngestError):
    """Another process works on this spool."""


class SpoolFullError(Exception):
    """The spool has reached its size; nothing more is taken until something has landed."""


@dataclass(frozen=True, order=True)
class Position:
    """A place between two records: the segment's number and the offset in it."""

    segment: int
    offset: int


class Spool:
    """One writer (the event loop) and one reader (the landing thread) of one process.

    Raises SpoolTakenError where another process has the folder, and OSError where the disk does.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.damaged = 0
        """records that were found unreadable at the start"""
        self._lock = threading.Lock()
        self._syncing = asyncio.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            raise SpoolTakenError(f"{folder} is in use: another worker collects this server; stop that one") from error
        self._sizes: dict[int, int] = {}
        for path in sorted(folder.glob("*.seg")):
            self._sizes[int(path.stem)] = self._repair(path)
        # A segment that has been closed by a crash is never appended to again.
        self._number = max(self._sizes, default=0) + 1
        self._sizes[self._number] = 0
        self._file = self._open(self._number)
        self._durable = Position(self._number, 0)
        # What has been written since, for a disk that fails to make it durable.
        self._undurable: list[tuple[Position, bytes]] = []
        self._failed = False
        self._read_at = Position(min(self._sizes), 0)
        self._trimmed = self._read_at

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010d}.seg"

    def _open(self, number: int) -> int:
        file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        directory = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # the name has to survive too
        finally:
            os.close(directory)
        return file

    def _repair(self, path: Path) -> int:
        """The length of the readable part; a torn tail, never acknowledged, is cut off."""
        content = path.read_bytes()
        at = 0
        while at + _RECORD.size <= len(content):
            length, _ = _RECORD.unpack_from(content, at)
            if at + _RECORD.size + length > len(content):
                break
            at += _RECORD.size + length
        if at < len(content):
            self.damaged += 1
            os.truncate(path, at)
        return at

    @property
    def pending_bytes(self) -> int:
        """Bytes on disk that have not landed."""
        with self._lock:
            return self._pending()

    def _pending(self) -> int:
        return sum(self._sizes.values()) - self._trimmed.offset

    @property
    def end(self) -> Position:
        """Behind the last record that was appended."""
        return Position(self._number, self._sizes[self._number])

    @property
    def read_position(self) -> Position:
        """Behind the last record that was read."""
        return self._read_at

    def append(self, payload: bytes) -> None:
        """Write a record; it is durable after the next `sync`. Where it raises, nothing was kept."""
        with self._lock:
            if self._pending() + len(payload) > self.limit_bytes:
                raise SpoolFullError(f"{self.folder} holds {self.limit_bytes} bytes")
            record = _RECORD.pack(len(payload), zlib.crc32(payload)) + payload
            start = self._sizes[self._number]
            try:
                written = os.write(self._file, record)
                if written != len(record):
                    raise OSError(28, f"only {written} of {len(record)} bytes could be written")
            except OSError:
                os.ftruncate(self._file, start)
                raise
            self._sizes[self._number] = start + len(record)
            self._undurable.append((self.end, record))

    async def sync(self) -> None:
        """Return when everything appended so far is on disk; where it raises OSError it is to be called again."""
        wanted = self.end
        async with self._syncing:
            if self._failed:
                self._write_again()
                wanted = self.end
            if self._durable >= wanted:
                return  # the sync before this one had it
            reached, file = self.end, self._file
            try:
                await asyncio.to_thread(os.fdatasync, file)
                with self._lock:
                    self._durable = reached
                    self._undurable = [(end, record) for end, record in self._undurable if end > reached]
                    drained = reached.offset >= _DRAINED_BYTES and self._read_at == reached == self.end
                    if drained or reached.offset >= _SEGMENT_BYTES:
                        if self.end != reached:
                            os.fdatasync(file)  # what came during the sync must not stay behind undurable
                            self._undurable = []
                        self._rotate()
            except OSError:
                # The kernel forgets what it couldn't write: a second sync of the same pages would only pretend.
                self._failed = True
                raise

    def _write_again(self) -> None:
        """Move what isn't durable to a new segment, in its order."""
        with self._lock:
            records = b"".join(record for _, record in self._undurable)
            os.ftruncate(self._file, self._durable.offset)
            self._sizes[self._number] = self._durable.offset
            self._rotate()
            if os.write(self._file, records) != len(records):
                os.ftruncate(self._file, 0)
                raise OSError(28, "the records could not be written again")
            self._sizes[self._number] = len(records)
            self._failed = False

    def _rotate(self) -> None:
        # Opened first: where that fails, the old file must still be ours, and not another's under its number.
        file = self._open(self._number + 1)
        os.close(self._file)
        self._file = file
        self._number += 1
        self._sizes[self._number] = 0
        self._durable = Position(self._number, 0)

    def read(self, most_bytes: int, until: Position | None = None) -> list[bytes]:
        """The next durable payloads, about `most_bytes` of them and none behind `until`; b"" for a damaged one."""
        payloads: list[bytes] = []
        size = 0
        with self._lock:
            durable = self._durable
        stop = durable if until is None else min(durable, until)
        while size < most_bytes and self._read_at < stop:
            number, offset = self._read_at.segment, self._read_at.offset
            end = stop.offset if number == stop.segment else self._sizes[number]
            if offset >= end:
                following = min(n for n in self._sizes if n > number)
                self._read_at = Position(following, 0)
                continue
            with self._path(number).open("rb") as file:
                file.seek(offset)
                content = file.read(min(end - offset, max(most_bytes - size, 1 << 16)))
                at = 0
                while at < len(content) and (size < most_bytes):
                    length, crc = _RECORD.unpack(_exactly(file, content, at, offset, _RECORD.size))
                    payload = _exactly(file, content, at + _RECORD.size, offset, length)
                    at += _RECORD.size + length
                    if zlib.crc32(payload) != crc:
                        self.damaged += 1
                        payload = b""  # its place is told: what was in it is lost between its neighbours
                    payloads.append(payload)
                    size += _RECORD.size + length
            self._read_at = Position(number, offset + at)
        return payloads

    def rewind(self) -> None:
        """Read again from what has last been trimmed: the landing failed."""
        self._read_at = self._trimmed

    def trim(self) -> None:
        """Everything that was read has landed: forget it."""
        with self._lock:
            if self._read_at.offset == self._sizes[self._read_at.segment] and self._read_at.segment < self._number:
                self._read_at = Position(min(n for n in self._sizes if n > self._read_at.segment), 0)
            self._trimmed = self._read_at
            for number in [n for n in self._sizes if n < self._trimmed.segment]:
                del self._sizes[number]
                self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; a spool that is drained leaves nothing behind."""
        with self._lock:
            os.close(self._file)
            for number, size in self._sizes.items():
                if size == 0 or self._trimmed >= Position(number, size):
                    self._path(number).unlink(missing_ok=True)
            os.close(self._lock_file)


def _exactly(file: object, content: bytes, at: int, offset: int, length: int) -> bytes:
    """`length` bytes at `at` of what was read, and more from the file where a record goes beyond that."""
    if at + length <= len(content):
        return content[at : at + length]
    file.seek(offset + at)  # type: ignore[attr-defined]
    return bytes(file.read(length))  # type: ignore[attr-defined]
