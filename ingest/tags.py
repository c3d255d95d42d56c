"""The plant file as rows: plants, equipment, tags and limits, one transaction, safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ingest.errors import IngestError
from ingest.plant import Equipment, Plant, Tag
from warehouse.roles import Role, connect
from warehouse.settings import Settings

_MEANING = ("server", "node_id", "equipment_id", "measurement", "position", "role", "unit", "data_type")


@dataclass(frozen=True)
class SyncResult:
    """What a sync did; tag ids by (server, node id) of all current tags of the plant."""

    added: int
    changed: int
    retired: int
    unchanged: int
    tag_ids: dict[tuple[str, str], int]

    def __str__(self) -> str:
        return f"{self.added} added, {self.changed} changed, {self.retired} retired, {self.unchanged} unchanged"


def sync_plant(settings: Settings, plant: Plant, moment: datetime, *, retire: bool = True) -> SyncResult:
    """Bring `raw.plants`, `equipment`, `tags` and `limits` in line with `plant`.

    A tag whose unit, node, type or meaning has changed is retired at `moment` and a new row with a new id begins there;
    what has landed under the old id stays as it was. With `retire` false only additions and changes are made: a
    recorded file brings a part of a plant. Raises IngestError where a machine or node belongs to another plant.
    """
    with connect(settings, Role.INGEST) as connection:
        # Two workers that start together would both insert the same tag.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('raw.tags', 0))")
        _sync_equipment(connection, plant, moment, retire)
        result = _sync_tags(connection, plant, moment, retire)
        _sync_limits(connection, plant, retire)
        return result


def _sync_equipment(connection: psycopg.Connection, plant: Plant, moment: datetime, retire: bool) -> None:
    connection.execute(
        "INSERT INTO raw.plants (plant_id, name, timezone) VALUES (%s, %s, %s) ON CONFLICT (plant_id) DO UPDATE"
        " SET name = excluded.name, timezone = excluded.timezone, synced_at = excluded.synced_at",
        (plant.plant_id, plant.name, plant.timezone),
    )
    taken = connection.execute(
        "SELECT equipment_id, plant_id FROM raw.equipment"
        " WHERE equipment_id = ANY(%s) AND plant_id <> %s AND retired_at IS NULL ORDER BY 1",
        (list(plant.equipment), plant.plant_id),
    ).fetchone()
    if taken:
        raise IngestError(
            f"equipment {taken[0]!r} already belongs to plant {taken[1]!r}; ids are unique over all plants"
        )
    connection.cursor().executemany(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, area, equipment_type, load_measurement, rated_load)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (equipment_id) DO UPDATE SET plant_id = excluded.plant_id,"
        " name = excluded.name, area = excluded.area, equipment_type = excluded.equipment_type,"
        " load_measurement = excluded.load_measurement, rated_load = excluded.rated_load, retired_at = NULL,"
        " synced_at = excluded.synced_at",
        [
            (equipment_id, plant.plant_id, e.name, e.area, e.type, e.load, e.rated_load)
            for equipment_id, e in plant.equipment.items()
        ],
    )
    if retire:
        connection.execute(
            "UPDATE raw.equipment SET retired_at = %s"
            " WHERE plant_id = %s AND retired_at IS NULL AND NOT equipment_id = ANY(%s)",
            (moment, plant.plant_id, list(plant.equipment)),
        )


def _meaning(equipment_id: str, equipment: Equipment, tag: Tag) -> dict[str, Any]:
    return {
        "server": equipment.server,
        "node_id": tag.address,
        "equipment_id": equipment_id,
        "measurement": tag.measurement,
        "position": tag.position,
        "role": tag.role,
        "unit": tag.unit,
        "data_type": tag.data_type,
        "states": dict(tag.states),
    }


def _sync_tags(connection: psycopg.Connection, plant: Plant, moment: datetime, retire: bool) -> SyncResult:
    wanted = [_meaning(i, equipment, tag) for i, equipment in plant.equipment.items() for tag in equipment.tags]
    current = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, e.plant_id FROM raw.tags AS t JOIN raw.equipment AS e USING (equipment_id)"
            " WHERE t.valid_to IS NULL AND (e.plant_id = %s OR t.server = ANY(%s))",
            (plant.plant_id, list(plant.servers)),
        )
        .fetchall()
    )
    by_node = {(row["server"], row["node_id"]): row for row in current}
    by_meaning = {(row["equipment_id"], row["measurement"], row["position"]): row for row in current}
    kept: set[int] = set()
    fresh: list[dict[str, Any]] = []
    outdated: set[int] = set()
    relabelled: list[tuple[Jsonb, int]] = []
    tag_ids: dict[tuple[str, str], int] = {}
    changed = 0
    for tag in wanted:
        at_node = by_node.get((tag["server"], tag["node_id"]))
        if at_node is not None and at_node["plant_id"] != plant.plant_id:
            raise IngestError(
                f"node {tag['node_id']!r} of server {tag['server']!r} is already a tag of plant"
                f" {at_node['plant_id']!r}; give the server another name in one of the two files"
            )
        if at_node is not None and all(at_node[key] == tag[key] for key in _MEANING):
            kept.add(at_node["tag_id"])
            tag_ids[tag["server"], tag["node_id"]] = at_node["tag_id"]
            if at_node["states"] != tag["states"]:  # how a value reads, not what it is: the id stays
                relabelled.append((Jsonb(tag["states"]), at_node["tag_id"]))
            continue
        before = at_node or by_meaning.get((tag["equipment_id"], tag["measurement"], tag["position"]))
        changed += before is not None
        fresh.append(tag)
        # The old row may clash with the new one by node or by meaning, and those may be two rows.
        for old in (at_node, by_meaning.get((tag["equipment_id"], tag["measurement"], tag["position"]))):
            if old is not None:
                outdated.add(old["tag_id"])
    removed = (
        {row["tag_id"] for row in current if row["plant_id"] == plant.plant_id} - kept - outdated if retire else set()
    )
    # A tag that keeps its row can't be outdated by another: its node and meaning are both taken in this file.
    _retire(connection, outdated | removed, moment)
    for tag in fresh:
        row = connection.execute(
            "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, position, role, unit, data_type, states,"
            " valid_from) VALUES (%(server)s, %(node_id)s, %(equipment_id)s, %(measurement)s, %(position)s, %(role)s,"
            " %(unit)s, %(data_type)s, %(states)s, %(valid_from)s) RETURNING tag_id",
            {**tag, "states": Jsonb(tag["states"]), "valid_from": moment},
        ).fetchone()
        assert row is not None
        tag_ids[tag["server"], tag["node_id"]] = row[0]
    if relabelled:
        connection.cursor().executemany("UPDATE raw.tags SET states = %s WHERE tag_id = %s", relabelled)
    return SyncResult(len(fresh) - changed, changed, len(removed), len(kept), tag_ids)


def _retire(connection: psycopg.Connection, tag_ids: set[int], moment: datetime) -> None:
    # valid_to must lie after valid_from, also where a file changes twice within a clock tick.
    connection.execute(
        "UPDATE raw.tags SET valid_to = greatest(%s, valid_from + interval '1 microsecond') WHERE tag_id = ANY(%s)",
        (moment, list(tag_ids)),
    )


def _sync_limits(connection: psycopg.Connection, plant: Plant, retire: bool) -> None:
    rows = []
    for equipment_id, equipment in plant.equipment.items():
        for tag in equipment.tags:
            limits = plant.limits_of(tag) if tag.role == "measurement" else None
            if limits is None:
                continue
            for direction, severity, value in limits.each():
                meaning = (equipment_id, tag.measurement, tag.position, severity, direction)
                margin = limits.margin(direction, value)
                on_delay_s = 0 if severity == "emergency" else limits.on_delay_s
                window_s = limits.rate_window_s if direction in ("rising", "falling") else None
                rows.append((*meaning, value, margin, on_delay_s, limits.off_delay_s, limits.deduplication_s, window_s))
    scope = "SELECT equipment_id FROM raw.equipment WHERE plant_id = %s" if retire else "SELECT unnest(%s::text[])"
    connection.execute(
        f"DELETE FROM raw.limits WHERE equipment_id IN ({scope})",
        (plant.plant_id if retire else list(plant.equipment),),
    )
    connection.cursor().executemany(
        "INSERT INTO raw.limits (equipment_id, measurement, position, severity, direction, limit_value, hysteresis,"
        " on_delay_s, off_delay_s, deduplication_s, rate_window_s)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        rows,
    )
