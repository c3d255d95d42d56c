"""The subscription on a server as a later connection, or a later worker, can go on with it: kept beside the spool."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

_MARK: Final = struct.Struct("<III")  # subscription, sequence number, CRC-32 of both


@dataclass
class Subscription:
    """What the server knows of us, and how far we have got with it."""

    subscription_id: int
    publishing_ms: float
    keep_alive_s: float
    started: str
    """start time of the server: ids mean nothing to another run of it"""
    token: str
    nonce: str | None
    items: dict[str, Any] = field(default_factory=dict)
    """as `Items.adopt` takes them"""
    stored: int = 0
    """sequence number of the newest message that is on disk with all before it; 0 for none"""


class Keepsake:
    """The files of a server's subscription in `folder`, of mode 0600: the token in them is the session's.

    Written at once and whole, so that a worker killed at any moment finds one or none. How far the messages are stored
    is written with each, without waiting for the disk: after a power cut it may say less than is true, and what is not
    to be had again then is a gap too many, never one too few.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "subscription.json"
        self._mark_path = folder / "stored"
        self._mark: int | None = None

    def load(self) -> Subscription | None:
        """What was kept; None where nothing was, or nothing that can be read."""
        try:
            kept = Subscription(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        try:
            content = self._mark_path.read_bytes()
            subscription_id, stored, crc = _MARK.unpack(content)
        except (OSError, struct.error):
            return None
        if crc != zlib.crc32(content[:8]) or subscription_id != kept.subscription_id:
            return None
        kept.stored = stored
        return kept

    def save(self, subscription: Subscription) -> None:
        """Keep it; raises OSError where the disk does."""
        self.mark(subscription)
        _write(self._path, json.dumps(asdict(subscription)).encode())

    def mark(self, subscription: Subscription) -> None:
        """Keep how far its messages are stored; on a full disk what was kept before stays: too little is safe."""
        ids = struct.pack("<II", subscription.subscription_id, subscription.stored)
        with contextlib.suppress(OSError):
            if self._mark is None:
                self._mark = os.open(self._mark_path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._mark, ids + struct.pack("<I", zlib.crc32(ids)), 0)

    def session_state(self, subscription: Subscription) -> Path:
        """The session's token in a file of the client's form, from which it takes up the session."""
        path = self._folder / "session.json"
        state = {
            "authentication_token": subscription.token,
            "server_nonce": subscription.nonce,
            "saved_at": time.time(),
        }
        _write(path, json.dumps(state).encode())
        return path

    def forget(self) -> None:
        """The subscription is no more."""
        self._path.unlink(missing_ok=True)
        self._mark_path.unlink(missing_ok=True)
        if self._mark is not None:
            os.close(self._mark)
        self._mark = None


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, content)
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
