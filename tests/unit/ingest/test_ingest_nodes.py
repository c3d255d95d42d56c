"""Node ids read and written by namespace URI, whatever stands in them."""

import uuid

import pytest
from asyncua import ua

from ingest.opcua.nodes import resolve, written

NAMESPACES = ["http://opcfoundation.org/UA/", "urn:a", "urn:odd;one%20", "urn:100%"]


@pytest.mark.parametrize(
    ("node_id", "text"),
    [
        (ua.NodeId(2258, 0), "i=2258"),
        (ua.NodeId(2**32 - 1, 1), "nsu=urn:a;i=4294967295"),
        (ua.NodeId("Line 1/Pump;speed=[0] ø", 1), "nsu=urn:a;s=Line 1/Pump;speed=[0] ø"),
        (ua.NodeId("x", 2), "nsu=urn:odd%3Bone%2520;s=x"),
        (ua.NodeId(uuid.UUID(int=7), 1), "nsu=urn:a;g=00000000-0000-0000-0000-000000000007"),
        (ua.NodeId(b"\x00\xff", 3, ua.NodeIdType.ByteString), "nsu=urn:100%25;b=AP8="),
    ],
)
def test_a_node_id_is_written_as_it_is_read(node_id: ua.NodeId, text: str) -> None:
    assert written(node_id, NAMESPACES) == text
    assert resolve(text, NAMESPACES) == node_id


def test_a_namespace_may_be_written_as_it_is() -> None:
    assert resolve("nsu=urn:100%;i=1", NAMESPACES) == ua.NodeId(1, 3)


@pytest.mark.parametrize("text", ["i=4294967296", "i=-1", "g=nonsense", "b=?", "x=1", ""])
def test_what_is_no_node_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        resolve(text, NAMESPACES)
