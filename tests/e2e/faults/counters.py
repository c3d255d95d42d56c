"""An OPC UA server whose every value is an integer that must arrive, and which writes down itself what it offered.

Run as a process of its own: `python tests/e2e/faults/counters.py --port 4841 --log ticks.jsonl`. The log is the truth
that a fault is judged by: a line is written before its values are put. Commands come as lines on standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.callback import CallbackType
from asyncua.server.history import HistoryDict
from asyncua.server.internal_session import InternalSession

HZ: Final = 20
# Two sensors share an identifier in two namespaces: who keeps an old index gets the other one's values.
TAGS: Final = (("urn:field:a", "Counter.1"), ("urn:field:a", "Counter.2"),
               ("urn:field:b", "Counter.1"), ("urn:field:b", "Counter.2"))  # fmt: skip
_STEP: Final = 10**12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# What no table of numbers can hold, each on a node of its own, once a second.
POISON: Final[tuple[tuple[str, Any, timedelta], ...]] = (
    ("Text", ua.Variant("nought\x00", ua.VariantType.String), timedelta()),
    ("Past", ua.Variant(1, ua.VariantType.Int64), timedelta(days=-150_000)),
    ("Future", ua.Variant(2, ua.VariantType.Int64), timedelta(days=700)),
    ("Type", ua.Variant(ua.QualifiedName("x", 1), ua.VariantType.QualifiedName), timedelta()),
    ("Array", ua.Variant([1, 2, 3], ua.VariantType.Int64), timedelta()),
)


def value_of(tag: int, tick: int) -> int:
    """The one value that tag `tag` has at `tick`; no two tags share one."""
    return (tag + 1) * _STEP + tick


def moment_of(tick: int) -> datetime:
    """The source timestamp of a tick: HZ ticks a second since 1970, so that restarts go on where time is."""
    return _EPOCH + timedelta(microseconds=tick * (1_000_000 // HZ))


class Kept(HistoryDict):
    """asyncua's history, which can't be read any more once it holds a value without a source timestamp."""

    async def save_node_value(self, node_id: ua.NodeId, datavalue: ua.DataValue) -> None:
        if datavalue.SourceTimestamp is not None:
            await super().save_node_value(node_id, datavalue)


class Counters:
    """The server, its clockwork and its log."""

    def __init__(self, port: int, log: Path, *, shifted: bool, history: bool, poison: bool) -> None:
        self._port = port
        self._log = log.open("a", buffering=1)
        self._shifted = shifted
        self._history = history
        self._poison = poison
        self._nodes: dict[int, Any] = {}
        self._poisoned: dict[str, Any] = {}
        self._held = False

    def say(self, **line: Any) -> None:
        """A line of the log, with the moment in microseconds since 1970."""
        self._log.write(json.dumps({**line, "at": time.time_ns() // 1000}) + "\n")

    async def run(self) -> None:
        """Serve until standard input ends or says stop."""
        self._server = Server()
        await self._server.init()
        self._server.iserver.history_manager.set_storage(Kept())
        self._server.set_endpoint(f"opc.tcp://127.0.0.1:{self._port}")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        uris = dict.fromkeys(uri for uri, _ in TAGS)
        for uri in reversed(uris) if self._shifted else uris:
            await self._server.register_namespace(uri)
        for tag in reversed(range(len(TAGS))) if self._shifted else range(len(TAGS)):
            await self.add(tag)
        if self._poison:
            index = await self._server.register_namespace(TAGS[0][0])
            for name, variant, _ in POISON:
                self._poisoned[name] = await self._server.nodes.objects.add_variable(
                    ua.NodeId(name, index), name, variant.Value, variant.VariantType
                )
        self._tell_subscriptions()
        await self._server.start()
        self.say(event="started", namespaces=await self._server.get_namespace_array())
        ticking = [asyncio.create_task(self._tick())]
        if self._poison:
            ticking.append(asyncio.create_task(self._put_poison()))
        listening = asyncio.create_task(self._listen())
        done, _ = await asyncio.wait([*ticking, listening], return_when=asyncio.FIRST_COMPLETED)
        for task in ticking:
            task.cancel()
        for task in done:
            task.result()
        await self._server.stop()

    def _tell_subscriptions(self) -> None:
        """Note when items are monitored and when a subscription changes hands: that ends an outage."""

        def created(event: Any, _service: Any) -> None:
            good = sum(result.StatusCode.is_good() for result in event.response_params)
            self.say(event="monitored", count=good, subscriptions=self._subscriptions())

        self._server.subscribe_server_callback(CallbackType.ItemSubscriptionCreated, created)
        service = self._server.iserver.subscription_service
        transfer = service.transfer_subscriptions

        async def transferred(*arguments: Any) -> Any:
            results = await transfer(*arguments)
            # asyncua's own transfer leaves the subscription with the Publish requests of the connection it comes from.
            parameters, _, callback = arguments
            for number in parameters.SubscriptionIds:
                if subscription := service.subscriptions.get(int(number)):
                    subscription.pub_request_callback = callback.__self__.get_publish_request
            self.say(event="transferred", count=sum(result.StatusCode.is_good() for result in results))
            return results

        service.transfer_subscriptions = transferred
        activate = InternalSession.activate_session

        def activated(session: InternalSession, *arguments: Any) -> Any:
            result = activate(session, *arguments)
            owned = [s for s in service.subscriptions.values() if s.session_id == session.session_id]
            if owned:  # not a new session: one that goes on over another connection
                self.say(event="resumed", count=len(owned))
            return result

        InternalSession.activate_session = activated

    def _subscriptions(self) -> int:
        return sum(
            bool(subscription.session_id.Identifier)
            for subscription in self._server.iserver.subscription_service.subscriptions.values()
        )

    async def add(self, tag: int) -> None:
        uri, name = TAGS[tag]
        index = await self._server.get_namespace_index(uri)
        node = await self._server.nodes.objects.add_variable(
            ua.NodeId(name, index), f"{name}", value_of(tag, 0), ua.VariantType.Int64
        )
        waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
        await node.write_attribute(ua.AttributeIds.Value, ua.DataValue(ua.Variant(None), StatusCode=waiting))
        if self._history:
            await self._server.historize_node_data_change(node, count=100_000)
        self._nodes[tag] = node

    async def _put(self, node: Any, variant: Any, source: datetime) -> None:
        await self._server.iserver.aspace.write_attribute_value(
            node.nodeid, ua.AttributeIds.Value, ua.DataValue(variant, ua.StatusCode(), source, datetime.now(UTC))
        )

    async def _tick(self) -> None:
        """Every tick once; those of a pause follow late with the time that was theirs, as from a buffering device."""
        done = time.time_ns() * HZ // 1_000_000_000
        while True:
            due = time.time_ns() * HZ // 1_000_000_000
            for tick in range(done + 1, due + 1):
                if self._held:
                    continue
                tags = sorted(self._nodes)
                self.say(tick=tick, tags=tags)
                for tag in tags:
                    await self._put(
                        self._nodes[tag], ua.Variant(value_of(tag, tick), ua.VariantType.Int64), moment_of(tick)
                    )
            done = due
            await asyncio.sleep((done + 1) / HZ - time.time())

    async def _put_poison(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._held:
                continue
            for name, variant, shift in POISON:
                self.say(poison=name)
                await self._put(self._poisoned[name], variant, datetime.now(UTC) + shift)

    async def _listen(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().split():
            command, arguments = line[0], line[1:]
            if command == "stop":
                return
            if command == "hold":
                self._held = True
            elif command == "delete":
                node = self._nodes.pop(int(arguments[0]))
                await self._server.delete_nodes([node])
            elif command == "add":
                await self.add(int(arguments[0]))
            elif command == "expire":
                for session in list(self._server.iserver._external_sessions.values()):
                    await session.close_session(True)
            else:
                raise ValueError(f"command must be one of stop, hold, delete, add, expire. Got: {command!r}")
            self.say(event=command, done=arguments)


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--shifted", action="store_true", help="namespaces in another order")
    parser.add_argument("--history", action="store_true", help="keep every value for HistoryRead")
    parser.add_argument("--poison", action="store_true", help="offer what can't be stored, too")
    options = parser.parse_args()
    asyncio.run(Counters(options.port, options.log, shifted=options.shifted, history=options.history,
                         poison=options.poison).run())  # fmt: skip


if __name__ == "__main__":
    main()
