"""A look at every server and tag of a plant file before a worker is let loose on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import Client, ua
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.errors import ConnectError
from ingest.opcua.client import connection, describe
from ingest.opcua.nodes import NamespaceMissingError, resolve
from ingest.opcua.security import Pki
from ingest.opcua.server_limits import ServerLimits, batched
from ingest.plant import Plant, Server, Tag

_SKEW_S: Final = 5.0
_MISSING: Final = ("BadNodeIdUnknown", "BadNodeIdInvalid")
_NO_ACCESS: Final = ("BadUserAccessDenied", "BadNotReadable", "BadIdentityTokenRejected", "BadSecurityModeInsufficient")
_INTEGERS: Final = frozenset({"SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"})
_FITTING: Final = {
    "integer": _INTEGERS,
    "double": _INTEGERS | {"Float", "Double"},
    "boolean": frozenset({"Boolean"}),
    "string": frozenset({"String", "LocalizedText"}),
    "datetime": frozenset({"DateTime"}),
}


@dataclass(frozen=True)
class Finding:
    """What reading a tag once has shown. `outcome` is ok, missing, no access, wrong type, bad quality or clock skew."""

    server: str
    equipment_id: str
    tag: Tag
    outcome: str
    value: str = ""
    detail: str = ""


@dataclass
class Report:
    """What a look at all servers has shown."""

    findings: list[Finding] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)
    """server → why, and what to do, in a line; its tags have no finding"""
    skew_s: dict[str, float] = field(default_factory=dict)
    """server → seconds that its clock is ahead of this machine's"""

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 a tag or a clock is not, 2 a server can't be connected to."""
        if self.unreachable:
            return 2
        wrong = any(finding.outcome != "ok" for finding in self.findings)
        return 1 if wrong or any(abs(skew) > _SKEW_S for skew in self.skew_s.values()) else 0


async def check(plant: Plant, pki: Pki) -> Report:
    """Connect to every server, resolve and read every tag; a server that can't be reached stops no other."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    pki.make(datetime.now(UTC))
    report = Report()
    await asyncio.gather(*(_look(report, name, server, plant, pki) for name, server in plant.servers.items()))
    order = {name: place for place, name in enumerate(plant.servers)}
    report.findings.sort(key=lambda finding: order[finding.server])
    return report


async def _look(report: Report, name: str, server: Server, plant: Plant, pki: Pki) -> None:
    tags = [(i, t) for i, e in plant.equipment.items() if e.server == name for t in e.tags]
    try:
        async with connection(name, server, pki) as client:
            if (skew := await _skew(client)) is not None:
                report.skew_s[name] = skew
            report.findings += await _read(client, name, server, tags)
    except ConnectError as error:
        report.unreachable[name] = str(error)
    except (OSError, TimeoutError, ua.UaError) as error:
        report.unreachable[name] = f"server {name!r} ({server.url}) went away while it was looked at: {describe(error)}"


async def _skew(client: Client) -> float | None:
    """Seconds that the server's clock is ahead, half the round trip allowed for; None where it tells no time."""
    asked = datetime.now(UTC)
    clock = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
    (told,) = await client.uaclient.session.read_attributes([clock], ua.AttributeIds.Value)
    answered = datetime.now(UTC)
    if told.Value is None or not isinstance(told.Value.Value, datetime):
        return None
    return (_aware(told.Value.Value) - (asked + (answered - asked) / 2)).total_seconds()


async def _read(client: Client, name: str, server: Server, tags: Sequence[tuple[str, Tag]]) -> list[Finding]:
    namespaces = list(await client.get_namespace_array())
    most = (await ServerLimits.read(client)).nodes_a_read
    findings: list[Finding] = []
    resolved: list[tuple[str, Tag, ua.NodeId]] = []
    for equipment_id, tag in tags:
        try:
            resolved.append((equipment_id, tag, resolve(tag.node, namespaces)))
        except (NamespaceMissingError, ValueError) as error:
            findings.append(Finding(name, equipment_id, tag, "missing", detail=str(error)))

    async def values_of(nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
        request = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Both)
        request.NodesToRead = [ua.ReadValueId(NodeId=node_id, AttributeId=ua.AttributeIds.Value) for node_id in nodes]
        return list(await client.uaclient.session.read(request))

    values = await batched(values_of, [node_id for _, _, node_id in resolved], most)
    moment = datetime.now(UTC)
    for (equipment_id, tag, _), value in zip(resolved, values, strict=True):
        findings.append(_judge(name, server, equipment_id, tag, value, moment))
    return findings


def _judge(name: str, server: Server, equipment_id: str, tag: Tag, value: ua.DataValue, moment: datetime) -> Finding:
    status = value.StatusCode if value.StatusCode is not None else ua.StatusCode()
    variant = value.Value if value.Value is not None else ua.Variant()
    outcome, detail = "ok", ""
    if status.name in _MISSING:
        outcome, detail = "missing", status.name
    elif status.name in _NO_ACCESS:
        outcome, detail = "no access", f"{status.name}: give this user the right to read it, on the server"
    elif not status.is_good():
        outcome, detail = "bad quality", status.name
    elif misfit := _misfit(tag, variant):
        outcome, detail = "wrong type", misfit
    elif late := _out_of_time(server, value.SourceTimestamp, moment):
        outcome, detail = "clock skew", late
    shown = "" if outcome in ("missing", "no access", "wrong type") else _shown(_of_element(tag, variant.Value))
    return Finding(name, equipment_id, tag, outcome, shown, detail)


def _misfit(tag: Tag, variant: ua.Variant) -> str:
    """Why a value is not what plant.yml says, or nothing."""
    kind, value = variant.VariantType.name, variant.Value
    if value is None:
        return "" if kind == "Null" else f"{kind} without a value"
    if isinstance(value, list) and tag.element is None:
        return (
            f"array of {len(value)} {kind}; say element: 0 to {len(value) - 1}" if value else f"empty array of {kind}"
        )
    if tag.element is not None and not isinstance(value, list):
        return f"{kind}, not an array; leave out element: {tag.element}"
    if tag.element is not None and tag.element >= len(value):
        return f"array of {len(value)} {kind}; plant.yml says element {tag.element}, counted from 0"
    if kind not in _FITTING[tag.data_type]:
        fitting = next((name for name, kinds in _FITTING.items() if kind in kinds), None)
        advice = f"data_type: {fitting} would fit" if fitting else "a type that can't be collected"
        return f"{kind}; plant.yml says {tag.data_type}; {advice}"
    return ""


def _out_of_time(server: Server, stamped: datetime | None, moment: datetime) -> str:
    """Why a value of this source time would be rejected while collecting, or is doubtful; or nothing."""
    if stamped is None:
        return ""
    age = moment - _aware(stamped)
    if age > timedelta(days=server.oldest_value_days):
        return f"source timestamp {_aware(stamped):%Y-%m-%d}; older than oldest_value_days would be rejected"
    if age < -timedelta(seconds=_SKEW_S):
        ahead = -age.total_seconds()
        rejected = "; would be rejected (future_tolerance_s)" if ahead > server.future_tolerance_s else ""
        return f"source timestamp {ahead:.0f} s ahead of this machine{rejected}"
    return ""


def _of_element(tag: Tag, value: Any) -> Any:
    inside = isinstance(value, list) and tag.element is not None and tag.element < len(value)
    return value[tag.element] if inside else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)[:40]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def table(report: Report, console: Console) -> None:
    """Print the findings, the tags that need attention first."""
    view = Table("server", "equipment", "tag", "outcome", "value", "unit", "detail")
    for f in sorted(report.findings, key=lambda finding: finding.outcome == "ok"):
        tag = f"{f.tag.measurement} {f.tag.position}".strip()
        # Text, for a name or value may look like markup, and a part of a fingerprint like an emoji.
        row = [Text(cell) for cell in (f.server, f.equipment_id, tag, f.outcome, f.value, f.tag.unit, f.detail)]
        row[3].stylize("green" if f.outcome == "ok" else "red")
        view.add_row(*row)
    if report.findings:
        console.print(view)
    good = sum(f.outcome == "ok" for f in report.findings)
    console.print(f"{good} of {len(report.findings)} tags ok")
    for server, skew in report.skew_s.items():
        if abs(skew) > _SKEW_S:
            side = "ahead of" if skew > 0 else "behind"
            wrong = f"clock skew: server {server!r} is {abs(skew):.0f} s {side} this machine; set both by NTP"
            console.print(Text(wrong, style="red"), soft_wrap=True)
    for reason in report.unreachable.values():
        console.print(Text(reason, style="red"), soft_wrap=True)
