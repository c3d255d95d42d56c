"""A TCP proxy between worker and server: cuts connections, or lets them stand and carries nothing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from typing import Final

from warehouse.server import free_port

_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Carries bytes from its own port to `target` on a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.connections = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._carrying = threading.Event()
        self._carrying.set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def drop(self) -> None:
        """Reset every connection, in both directions."""
        with self._lock:
            while self._pairs:
                for end in (pair := next(iter(self._pairs.items()))):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._forget(pair[0])

    def hold(self) -> None:
        """Carry nothing, and refuse nothing either: a cable pulled behind a switch."""
        self._carrying.clear()

    def carry(self) -> None:
        self._carrying.set()

    def close(self) -> None:
        self._closed = True
        self._carrying.set()
        self._thread.join(5)
        self.drop()
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closed:
            self._carrying.wait()
            for key, _ in self._selector.select(0.1):
                if not self._carrying.is_set():
                    break
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._copy(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=1.0)
        except OSError:  # nobody listens: so it is for the client
            client.close()
            return
        self.connections += 1
        for end, other in ((client, server), (server, client)):
            end.setblocking(True)
            self._pairs[end] = other
            self._selector.register(end, selectors.EVENT_READ)

    def _copy(self, end: socket.socket) -> None:
        try:
            chunk = end.recv(1 << 16)
            if chunk:
                self._pairs[end].sendall(chunk)
                return
        except OSError:  # the other end is gone, and so is this one
            pass
        self._forget(end)

    def _forget(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (end, other):
            with contextlib.suppress(KeyError):
                self._selector.unregister(each)
            each.close()
