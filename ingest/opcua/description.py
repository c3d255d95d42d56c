"""Guesses about a browsed server as a plant file, with a comment wherever something could not be guessed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from asyncua import ua
from pydantic import ValidationError

from ingest.errors import IngestError
from ingest.opcua.browse import browse
from ingest.opcua.client import connection, describe
from ingest.opcua.guesses import EquipmentGuess, TagGuess, guess
from ingest.opcua.security import Pki
from ingest.plant import Server, first_problem, load_plant


async def explore(pki: Path, options: dict[str, Any], name: str | None, root: str, path: Path | None) -> list[str]:
    """Browse the server of `options`, the keys of a server in plant.yml, and say what was found.

    With `path` a plant description is written there. Raises IngestError, one line, for what can't be done.
    """
    try:
        server = Server.model_validate(options)
    except ValidationError as error:
        raise IngestError(f"browse: {first_problem(error, Server)}") from error
    if path is not None:
        _refuse_to_overwrite(path)
    address = urlsplit(server.url)
    name = name or re.sub(r"[^A-Za-z0-9]+", "-", f"{address.hostname}-{address.port or 4840}").strip("-")
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    began = time.monotonic()
    async with connection(name, server, Pki(pki)) as client:
        try:
            browsed = await browse(client, root)
        except (ua.UaError, OSError, TimeoutError) as error:
            raise IngestError(f"{server.url}: browsing ended: {describe(error)}") from error
    seconds = time.monotonic() - began
    equipment = guess(browsed.variables)
    lines = [] if path is not None else list(table_lines(equipment))
    lines += [f"not browsed: {line}" for line in browsed.unreadable]
    if path is not None:
        write(path, server, name, equipment)
    known = sum(len(machine.known) for machine in equipment)
    lines.append(
        f"{browsed.nodes:,} nodes in {seconds:.1f} s: {len(browsed.variables):,} variables, {known:,} of them tags"
        f" of {sum(bool(machine.known) for machine in equipment):,} machines" + (f"; written to {path}" if path else "")
    )
    return lines


def write(path: Path, server: Server, name: str, equipment: Sequence[EquipmentGuess]) -> None:
    """Write a plant file that `load_plant` accepts; it appears whole or not at all.

    Raises IngestError where `path` exists (what a person wrote there would be lost) or no tag could be guessed.
    """
    _refuse_to_overwrite(path)
    if not any(machine.known for machine in equipment):
        raise IngestError("no variable was found that could be a tag; browse without --plant shows what there is")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text("\n".join(plant_lines(server, name, equipment)) + "\n", encoding="utf-8")
        load_plant(part)
        part.replace(path)
    except OSError as error:
        raise IngestError(f"{path}: can't be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _refuse_to_overwrite(path: Path) -> None:
    if path.exists():
        raise IngestError(f"{path}: exists already, and what is in it would be lost; name another file")


def plant_lines(server: Server, name: str, equipment: Sequence[EquipmentGuess]) -> Iterator[str]:
    """The lines of the plant file; `name` is the server's in it."""
    yield "# A guess by `python -m ingest browse`: what the server doesn't say stands in comments. Check it, then try"
    yield "# `python -m ingest check --plant` with it."
    yield f"plant_id: {scalar(re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-') or 'PLANT')}"
    yield f"name: {scalar(name)}"
    yield "timezone: UTC  # where the plant is, such as Europe/Oslo: its days begin there"
    yield ""
    yield "servers:"
    yield f"  {scalar(name)}:"
    for key, value in server.model_dump(mode="json", exclude_unset=True).items():
        yield f"    {key}: {scalar(value)}"
    yield ""
    yield "equipment:"
    for machine in equipment:
        if machine.known:
            yield from _machine(machine, name)
    empty = [machine for machine in equipment if not machine.known]
    if empty:
        yield ""
        yield "# Found as well, but nothing there could be guessed to be a tag:"
    for machine in empty:
        for tag in machine.tags:
            yield f"# {_comment(machine.equipment_id)}: {_mention(tag)}"


def table_lines(equipment: Sequence[EquipmentGuess]) -> Iterator[str]:
    """A line a tag, for a person to read."""
    rows = [
        (
            machine.equipment_id,
            " ".join(filter(None, (tag.measurement or "?", tag.position))),
            tag.unit or "-",
            tag.data_type or tag.variable.data_type or "?",
            _address(tag),
            "; ".join(tag.doubts),
        )
        for machine in equipment
        for tag in machine.tags
    ]
    rows.insert(0, ("equipment", "tag", "unit", "type", "node", ""))
    widths = [min(48, max(len(row[column]) for row in rows)) for column in range(5)]
    for row in rows:
        cells = [_comment(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, _comment(row[5])]).rstrip()


def scalar(value: Any) -> str:
    """A value as YAML reads it back on one line, whatever characters are in it."""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if re.fullmatch(r"[^\W\d_][\w.-]*(?: [\w.-]+)*", value) and yaml.safe_load(value) == value:
        return value
    escaped = "".join(_escape(character) for character in value)
    return f'"{escaped}"'


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _machine(machine: EquipmentGuess, server: str) -> Iterator[str]:
    yield f"  {scalar(machine.equipment_id)}:{_doubts(machine.doubts)}"
    yield f"    name: {scalar(machine.name)}"
    yield f"    type: {scalar(machine.kind)}"
    if machine.area:
        yield f"    area: {scalar(machine.area)}"
    yield f"    server: {scalar(server)}"
    yield "    tags:"
    for tag in machine.tags:
        yield f"      - {_tag(tag)}{_doubts(tag.doubts)}" if tag.measurement else f"      # {_mention(tag)}"


def _tag(tag: TagGuess) -> str:
    fields: dict[str, Any] = {"node": tag.variable.text}
    if tag.element is not None:
        fields["element"] = tag.element
    fields["measurement"] = tag.measurement
    if tag.position:
        fields["position"] = tag.position
    if tag.role != "measurement":
        fields["role"] = tag.role
    if tag.unit:
        fields["unit"] = tag.unit
    if tag.data_type != "double":
        fields["data_type"] = tag.data_type
    pairs = [f"{key}: {scalar(value)}" for key, value in fields.items()]
    if tag.states:
        states = ", ".join(f'"{value}": {state}' for value, state in tag.states.items())
        pairs.append(f"states: {{{states}}}")
    return f"{{{', '.join(pairs)}}}"


def _mention(tag: TagGuess) -> str:
    unit = f" [{tag.unit or tag.variable.unit}]" if tag.unit or tag.variable.unit else ""
    kind = tag.variable.data_type or "type unknown"
    return _comment(f"{_address(tag)}  {tag.variable.node.display}{unit}, {kind}: {'; '.join(tag.doubts)}")


def _address(tag: TagGuess) -> str:
    return tag.variable.text if tag.element is None else f"{tag.variable.text}[{tag.element}]"


def _doubts(doubts: Sequence[str]) -> str:
    return f"  # {_comment('; '.join(doubts))}" if doubts else ""


def _comment(text: str) -> str:
    """Text that stays on its line and can be written as UTF-8."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
