"""What a server takes in one call: read once a connection, honoured in every service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from asyncua import Client, ua

# S7-1200 and its like take 50 times as long for more, whatever limit they state.
MOST_A_CALL: Final = 200
_DEFAULT_CONTINUATION_POINTS: Final = 10

_Operand = TypeVar("_Operand")
_Result = TypeVar("_Result")

# What says that no call of this connection will do; everything else may be the fault of a single operation.
_OF_THE_CONNECTION: Final = (
    ua.uaerrors.BadSessionIdInvalid,
    ua.uaerrors.BadSessionClosed,
    ua.uaerrors.BadSessionNotActivated,
    ua.uaerrors.BadSubscriptionIdInvalid,
    ua.uaerrors.BadNoSubscription,
    ua.uaerrors.BadSecureChannelIdInvalid,
    ua.uaerrors.BadSecureChannelClosed,
    ua.uaerrors.BadConnectionClosed,
    ua.uaerrors.BadServiceUnsupported,
    ua.uaerrors.BadShutdown,
    ua.uaerrors.BadServerHalted,
    ua.uaerrors.BadTimeout,
)
# By whom a call was too big: the server's count of operations, or its, our or the channel's size of a message.
_TOO_BIG: Final = (
    ua.uaerrors.BadTooManyOperations,
    ua.uaerrors.BadRequestTooLarge,
    ua.uaerrors.BadResponseTooLarge,
    ua.uaerrors.BadEncodingLimitsExceeded,
    ua.uaerrors.BadTcpMessageTooLarge,
)


@dataclass(frozen=True)
class ServerLimits:
    """Operations a call, at least 1 and at most MOST_A_CALL each; what a server doesn't state is MOST_A_CALL."""

    monitored_items_a_call: int = MOST_A_CALL
    nodes_a_read: int = MOST_A_CALL
    nodes_a_browse: int = MOST_A_CALL
    nodes_a_history_read: int = MOST_A_CALL
    browse_continuation_points: int = _DEFAULT_CONTINUATION_POINTS

    @classmethod
    async def read(cls, client: Client) -> ServerLimits:
        """The limits of the server that `client` is connected to; whoever says none is asked as if it had the usual."""
        session = client.uaclient.session
        nodes = [ua.NodeId(_NODES[field.name]) for field in fields(cls)]
        try:
            values = await session.read_attributes(nodes, ua.AttributeIds.Value)
        except _TOO_BIG:  # how many are too many isn't known yet
            values = [(await session.read_attributes([node], ua.AttributeIds.Value))[0] for node in nodes]
        return cls(
            **{field.name: _limit(value, field.default) for field, value in zip(fields(cls), values, strict=True)}
        )


_NODES: Final = {
    "monitored_items_a_call": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "nodes_a_read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "nodes_a_browse": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "nodes_a_history_read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    "browse_continuation_points": ua.ObjectIds.Server_ServerCapabilities_MaxBrowseContinuationPoints,
}


def _limit(value: Any, unstated: Any) -> int:
    """0 says that there is no limit, as does a value that isn't there or isn't a number."""
    stated = value.Value.Value if value.Value is not None else None
    if isinstance(stated, bool) or not isinstance(stated, int) or stated <= 0:
        return int(unstated)
    return min(stated, MOST_A_CALL)


def apart(
    call: Callable[[Sequence[_Operand]], Awaitable[Sequence[_Result]]], failed: Callable[[ua.StatusCode], _Result]
) -> Callable[[Sequence[_Operand]], Awaitable[Sequence[_Result]]]:
    """`call` for `batched`, of which one operand that the server stumbles over spoils no other.

    Some servers answer with a fault to a call of two hundred because of one of them; it alone gets `failed` of that.
    """

    async def careful(part: Sequence[_Operand]) -> Sequence[_Result]:
        try:
            return await call(part)
        except (*_TOO_BIG, *_OF_THE_CONNECTION):
            raise
        except ua.uaerrors.UaStatusCodeError as error:
            if len(part) == 1:
                return [failed(ua.StatusCode(error.code))]
            middle = len(part) // 2
            return [*await careful(part[:middle]), *await careful(part[middle:])]

    return careful


async def batched(
    call: Callable[[Sequence[_Operand]], Awaitable[Sequence[_Result]]], operands: Sequence[_Operand], most: int
) -> list[_Result]:
    """The results of `call` for all operands, in their order, at most `most` a call.

    A call that is too big for the server all the same is made again in halves. Raises UaError where the server answers
    with another number of results than it was asked for.
    """
    results: list[_Result] = []
    while len(results) < len(operands):
        part = operands[len(results) : len(results) + most]
        try:
            answer = await call(part)
        except _TOO_BIG:
            if len(part) == 1:
                raise
            most = len(part) // 2
            continue
        if len(answer) != len(part):
            raise ua.UaError(f"the server answered {len(answer)} of {len(part)} operations")
        results.extend(answer)
    return results
