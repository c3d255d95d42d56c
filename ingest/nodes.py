"""Node ids as they are written in plant.yml, with namespace URIs, resolved against a server's own table."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Sequence
from typing import Final

from asyncua import ua

_NODE: Final = re.compile(r"^(?:nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)$", re.DOTALL)


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
    if uri is None:
        index = 0
    elif uri in namespaces:
        index = list(namespaces).index(uri)
    else:
        raise NamespaceMissingError(f"the server has no namespace {uri!r}; it has: {', '.join(namespaces)}")
    if kind == "i":
        return ua.NodeId(int(identifier), index)
    if kind == "g":
        return ua.NodeId(uuid.UUID(identifier), index)
    if kind == "b":
        return ua.NodeId(base64.b64decode(identifier), index, ua.NodeIdType.ByteString)
    return ua.NodeId(identifier, index)
