"""What a session has to tell about its values rather than in them: spooled between them, so that its place is kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_MARK: Final = b"N"


@dataclass(frozen=True)
class Loss:
    """Values may be missing behind what was spooled before, of `tag_ids` or of every tag.

    They may be since `heard_us` (µs since 2000, by the server's clock). Where that is None: of `tag_ids` since the last
    value of each; of every tag, for the worker was away, since the newest of all.
    """

    cause: str
    detail: str
    noted_us: int
    heard_us: int | None = None
    tag_ids: Sequence[int] | None = None
    loss_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Resumed:
    """The subscription outlived the outage `loss_id`: nothing was lost in it."""

    loss_id: str
    noted_us: int


@dataclass(frozen=True)
class Verdict:
    """What asking the server's history about a tag's gap came to, for as much of it as is still unrepaired.

    `repair` is None where it is to be asked again later.
    """

    tag_id: int
    from_us: int
    to_us: int
    tried_us: int
    repair: str | None


Note = Loss | Resumed | Verdict
_KINDS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in (Loss, Resumed, Verdict)}


def is_note(payload: bytes) -> bool:
    """Whether a record of the spool is a note; the others are readings."""
    return payload.startswith(_MARK)


def note_to_bytes(note: Note) -> bytes:
    """The note as it lies in the spool."""
    return _MARK + json.dumps([type(note).__name__, asdict(note)]).encode()


def note_from_bytes(payload: bytes) -> Note:
    """The inverse of `note_to_bytes`; raises ValueError for what it didn't write."""
    try:
        kind, fields = json.loads(payload.removeprefix(_MARK))
        note: Note = _KINDS[kind](**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a note: {error!r}") from error
    return note
