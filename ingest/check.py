"""A look at every server and tag of a plant file before a worker is let loose on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua
from rich.console import Console
from rich.table import Table

from ingest.decoding import convert
from ingest.errors import IngestError
from ingest.items import server_limit
from ingest.nodes import NamespaceMissingError, resolve
from ingest.plant import Plant, Tag
from ingest.readings import NULL, REJECTED, TEXT
from ingest.session import REQUEST_TIMEOUT_S, client_of, close, describe

_SKEW_S = 5.0


@dataclass(frozen=True)
class Finding:
    """What reading a tag once has shown. `outcome` is ok, missing, no access, wrong type, bad quality or clock skew."""

    server: str
    equipment_id: str
    tag: Tag
    outcome: str
    value: str = ""
    detail: str = ""


async def check(plant: Plant) -> list[Finding]:
    """Connect to every server, resolve and read every tag.

    Raises IngestError, one line, for a server that can't be reached.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    findings: list[Finding] = []
    for name, server in plant.servers.items():
        client = client_of(server)
        try:
            try:
                await asyncio.wait_for(client.connect(auto_reconnect=False), REQUEST_TIMEOUT_S)
            except (OSError, TimeoutError, ua.UaError, AssertionError) as error:
                raise IngestError(
                    f"server {name!r} ({server.url}) can't be reached: {describe(error)};"
                    " check the address, that the server runs, and the firewall between"
                ) from error
            tags = [(i, t) for i, e in plant.equipment.items() if e.server == name for t in e.tags]
            findings.extend(await _read(client, name, tags))
        finally:
            await close(client)
    return findings


async def _read(client: Client, server: str, tags: Sequence[tuple[str, Tag]]) -> list[Finding]:
    namespaces = list(await client.get_namespace_array())
    most = await server_limit(client, ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
    findings: list[Finding] = []
    resolved: list[tuple[str, Tag, ua.NodeId]] = []
    for equipment_id, tag in tags:
        try:
            resolved.append((equipment_id, tag, resolve(tag.node, namespaces)))
        except (NamespaceMissingError, ValueError) as error:
            findings.append(Finding(server, equipment_id, tag, "missing", detail=str(error)))
    for start in range(0, len(resolved), most):
        part = resolved[start : start + most]
        values = await client.uaclient.read_attributes([node_id for _, _, node_id in part], ua.AttributeIds.Value)
        for (equipment_id, tag, _), value in zip(part, values, strict=True):
            findings.append(_judge(server, equipment_id, tag, value, datetime.now(UTC)))
    return findings


def _judge(server: str, equipment_id: str, tag: Tag, value: Any, moment: datetime) -> Finding:
    status = value.StatusCode if value.StatusCode is not None else ua.StatusCode()
    kind, number, text = convert(value.Value.Value if value.Value is not None else None)
    shown = "" if kind == NULL else text if text is not None else f"{number:g}"
    outcome, detail = "ok", ""
    stamped = value.SourceTimestamp or value.ServerTimestamp
    if status.name in ("BadNodeIdUnknown", "BadNodeIdInvalid"):
        outcome, detail = "missing", status.name
    elif status.name in ("BadUserAccessDenied", "BadNotReadable", "BadIdentityTokenRejected"):
        outcome, detail = "no access", status.name
    elif not status.is_good():
        outcome, detail = "bad quality", status.name
    elif kind == REJECTED:
        outcome, detail = "wrong type", (text or "").split("\x1f")[0]
        shown = ""
    elif kind == TEXT and tag.data_type not in ("string", "datetime"):
        outcome, detail = "wrong type", f"text; plant.yml says {tag.data_type}"
    elif stamped is not None:
        ahead = (_aware(stamped) - moment).total_seconds()
        if ahead > _SKEW_S:
            outcome, detail = "clock skew", f"source timestamp {ahead:.0f} s ahead of this machine"
    return Finding(server, equipment_id, tag, outcome, (shown or "")[:40], detail)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def table(findings: Sequence[Finding]) -> None:
    """Print the findings, the tags that need attention first."""
    console = Console()
    view = Table("server", "equipment", "tag", "outcome", "value", "unit", "detail")
    for f in sorted(findings, key=lambda finding: finding.outcome == "ok"):
        name = f"{f.tag.measurement} {f.tag.position}".strip()
        colour = "green" if f.outcome == "ok" else "red"
        view.add_row(f.server, f.equipment_id, name, f"[{colour}]{f.outcome}[/]", f.value, f.tag.unit, f.detail)
    console.print(view)
    good = sum(f.outcome == "ok" for f in findings)
    console.print(f"{good} of {len(findings)} tags ok")
