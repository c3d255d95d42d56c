"""Calls stay within what a server takes, also where it takes less than it says."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from ingest.opcua.server_limits import MOST_A_CALL, ServerLimits, apart, batched


class Answers:
    """A call that takes at most `most` operands and notes how many it was given."""

    def __init__(self, most: int, short: int = 0) -> None:
        self.most, self.short = most, short
        self.sizes: list[int] = []

    async def __call__(self, part: Sequence[int]) -> list[int]:
        self.sizes.append(len(part))
        if len(part) > self.most:
            raise ua.uaerrors.BadTooManyOperations
        return [-operand for operand in part][self.short :]


async def test_operands_are_asked_in_order_and_within_the_limit() -> None:
    call = Answers(100)
    assert await batched(call, range(250), 100) == [-n for n in range(250)]
    assert call.sizes == [100, 100, 50]


async def test_a_call_that_is_too_big_is_made_in_halves() -> None:
    call = Answers(30)
    assert await batched(call, range(100), 100) == [-n for n in range(100)]
    assert call.sizes == [100, 50, 25, 25, 25, 25]


async def test_a_server_that_takes_not_even_one_is_an_error() -> None:
    with pytest.raises(ua.uaerrors.BadTooManyOperations):
        await batched(Answers(0), [1, 2], 2)


async def test_an_answer_of_another_length_is_an_error() -> None:
    with pytest.raises(ua.UaError, match="answered 2 of 3"):
        await batched(Answers(10, short=1), [1, 2, 3], 10)


async def test_an_operand_that_the_server_stumbles_over_spoils_no_other() -> None:
    calls = []

    async def call(part: Sequence[int]) -> list[str]:
        calls.append(len(part))
        if 7 in part:
            raise ua.uaerrors.BadInternalError
        return [str(operand) for operand in part]

    results = await batched(apart(call, lambda status: status.name), range(16), 16)
    assert results == [str(n) if n != 7 else "BadInternalError" for n in range(16)]
    assert calls == [16, 8, 4, 4, 2, 2, 1, 1, 8]


@pytest.mark.parametrize("error", [ua.uaerrors.BadSessionIdInvalid, ConnectionError, TimeoutError])
async def test_a_connection_that_is_lost_is_no_operands_fault(error: type[Exception]) -> None:
    calls = []

    async def call(part: Sequence[int]) -> list[int]:
        calls.append(len(part))
        raise error

    with pytest.raises(error):
        await batched(apart(call, lambda _: 0), range(16), 16)
    assert calls == [16]


class Stated:
    """A server's operation limits, of which at most `most` can be read at once."""

    def __init__(self, values: Sequence[Any], most: int = 100) -> None:
        self.values = list(values)
        self.most = most
        self.order: list[ua.NodeId] = []

    async def read_attributes(self, nodes: list[ua.NodeId], _: Any) -> list[ua.DataValue]:
        if len(nodes) > self.most:
            raise ua.uaerrors.BadTooManyOperations
        return [ua.DataValue(ua.Variant(self.values.pop(0))) for _ in nodes]


@pytest.mark.parametrize("most", [100, 1])
async def test_limits_are_read_and_never_above_what_servers_bear(most: int) -> None:
    stated = Stated([50, 0, None, "many", 1_000_000], most)
    client: Any = SimpleNamespace(uaclient=SimpleNamespace(session=stated))
    limits = await ServerLimits.read(client)
    assert limits == ServerLimits(50, MOST_A_CALL, MOST_A_CALL, MOST_A_CALL, MOST_A_CALL)
