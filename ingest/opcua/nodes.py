"""Node ids as they are written in plant.yml, with namespace URIs, resolved against a server's own table."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Sequence
from typing import Final

from asyncua import ua

_NODE: Final = re.compile(r"^(?:nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)$", re.DOTALL)


_LARGEST_NUMBER: Final = 2**32 - 1
_ESCAPES: Final = (("%", "%25"), (";", "%3B"))
"""what a URI may not hold within a node id (OPC UA part 6, 5.3.1.11)"""


class NamespaceMissingError(LookupError):
    """The server has no namespace of this URI (now)."""


def resolve(node: str, namespaces: Sequence[str]) -> ua.NodeId:
    """The node id on a server whose namespace array is `namespaces`.

    Raises NamespaceMissingError, and ValueError where `node` isn't a node id.
    """
    match = _NODE.match(node)
    if match is None:
        raise ValueError(f"must be nsu=<namespace uri>;s=<identifier> (or i=, g=, b=). Got: {node!r}")
    uri, kind, identifier = match["uri"], match["kind"], match["identifier"]
    index = _index(uri, namespaces) if uri is not None else 0
    if kind == "i":
        if not identifier.isascii() or not identifier.isdecimal() or int(identifier) > _LARGEST_NUMBER:
            raise ValueError(f"i= must be a number from 0 to {_LARGEST_NUMBER}. Got: {node!r}")
        return ua.NodeId(int(identifier), index)
    if kind == "g":
        return ua.NodeId(uuid.UUID(identifier), index)
    if kind == "b":
        return ua.NodeId(base64.b64decode(identifier, validate=True), index, ua.NodeIdType.ByteString)
    return ua.NodeId(identifier, index)


def written(node_id: ua.NodeId, namespaces: Sequence[str]) -> str:
    """The inverse of `resolve`: the node id as plant.yml has it. Raises IndexError for an index without a namespace."""
    identifier = node_id.Identifier
    kind = "s"
    if isinstance(identifier, int):
        kind = "i"
    elif isinstance(identifier, uuid.UUID):
        kind = "g"
    elif isinstance(identifier, bytes):
        kind, identifier = "b", base64.b64encode(identifier).decode()
    if node_id.NamespaceIndex == 0:
        return f"{kind}={identifier}"
    uri = namespaces[node_id.NamespaceIndex]
    for plain, escaped in _ESCAPES:
        uri = uri.replace(plain, escaped)
    return f"nsu={uri};{kind}={identifier}"


def _index(uri: str, namespaces: Sequence[str]) -> int:
    """The index of a namespace whose URI is written as it is, or escaped."""
    plain = uri
    for character, escaped in reversed(_ESCAPES):
        plain = plain.replace(escaped, character)
    for candidate in (uri, plain):
        if candidate in namespaces:
            return list(namespaces).index(candidate)
    raise NamespaceMissingError(f"the server has no namespace {uri!r}; it has: {', '.join(namespaces)}")
