"""What a server is asked for: queues in which a burst fits, one item a node, deadbands before timestamps."""

from typing import Any

import pytest
from asyncua import ua

from ingest.opcua.subscribed import Subscribed, items_of, queue_size
from ingest.plant import Deadband, Tag


@pytest.mark.parametrize(
    ("sampling", "own", "publishing", "wanted"),
    [
        (50, None, 500.0, 600),
        (5000, None, 500.0, 20),
        (0, None, 500.0, 3000),
        (10, None, 60_000.0, 10_000),
        (1000, None, 60_000.0, 300),
        (50, 7, 500.0, 7),
    ],
)
def test_a_queue_outlasts_a_session_without_publishing(
    sampling: int, own: int | None, publishing: float, wanted: int
) -> None:
    assert queue_size(Subscribed(1, "i=1", sampling, own), publishing) == wanted


def test_the_elements_of_an_array_are_one_item() -> None:
    tags = [Subscribed(9, "s=A", 100, None, 2), Subscribed(4, "s=A", 100, None, 0), Subscribed(5, "s=B", 100, None)]
    items = items_of(tags)
    assert {handle: item.elements for handle, item in items.items()} == {4: [(0, 4), (2, 9)], 5: []}
    assert items[4].tag_ids == (4, 9)


@pytest.mark.parametrize(
    ("deadband", "wanted"),
    [
        (None, [(ua.DataChangeTrigger.StatusValueTimestamp, 0, 0.0), None]),
        (
            {"absolute": 0.5},
            [(ua.DataChangeTrigger.StatusValue, 1, 0.5), (ua.DataChangeTrigger.StatusValueTimestamp, 0, 0.0), None],
        ),
        (
            {"percent": 2},
            [(ua.DataChangeTrigger.StatusValue, 2, 2.0), (ua.DataChangeTrigger.StatusValueTimestamp, 0, 0.0), None],
        ),
    ],
)
def test_a_deadband_is_asked_for_first_and_a_stuck_value_by_its_time(
    deadband: dict[str, float] | None, wanted: list[Any]
) -> None:
    tag = Tag.model_validate({"node": "i=1", "measurement": "temperature", "deadband": deadband})
    (item,) = items_of([Subscribed.of(3, tag)]).values()
    assert [f and (f.Trigger, int(f.DeadbandType), f.DeadbandValue) for f in item.filters()] == wanted


def test_a_request_carries_what_the_tag_asks_for() -> None:
    tag = Tag.model_validate(
        {
            "node": "i=1",
            "measurement": "temperature",
            "sampling_interval_ms": 250,
            "queue_size": 12,
            "discard": "newest",
            "deadband": Deadband(absolute=1.0),
        }
    )
    (item,) = items_of([Subscribed.of(3, tag)]).values()
    request = item.request(ua.NodeId(1), 500.0, item.filters()[0])
    parameters = request.RequestedParameters
    assert (parameters.ClientHandle, parameters.SamplingInterval, parameters.QueueSize) == (3, 250.0, 12)
    assert parameters.DiscardOldest is False
    assert parameters.Filter.DeadbandValue == 1.0
