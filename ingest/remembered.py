"""The tag ids of the last sync, kept beside the spool: a worker that starts while Postgres is away collects as well."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ingest.plant import Plant
from warehouse.roles import write_private

TagIds = dict[tuple[str, str], int]


def remember(folder: Path, plant: Plant, tag_ids: TagIds) -> None:
    """Keep the ids, by (server, address), with what they are the ids of."""
    rows = [[server, address, tag_id] for (server, address), tag_id in sorted(tag_ids.items())]
    write_private(folder / "tags.json", json.dumps({"plant": _fingerprint(plant), "tags": rows}) + "\n")


def recall(folder: Path, plant: Plant) -> TagIds | None:
    """The ids that were kept; None where there are none, or where they are those of another plant file."""
    try:
        kept = json.loads((folder / "tags.json").read_text(encoding="utf-8"))
        if kept["plant"] != _fingerprint(plant):
            return None
        return {(str(server), str(address)): int(tag_id) for server, address, tag_id in kept["tags"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never written, or not by us: Postgres is waited for


def _fingerprint(plant: Plant) -> str:
    return hashlib.sha256(plant.model_dump_json().encode()).hexdigest()
