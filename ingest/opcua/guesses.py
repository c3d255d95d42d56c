"""What browsed variables may mean: equipment from the hierarchy, measurement and unit from EUInformation and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ingest.opcua.browse import Node, Variable
from ingest.opcua.vocabulary import (
    COUNTER,
    DATA_TYPES,
    GROUPS,
    KINDS,
    PARTS,
    SET_POINT,
    STATE,
    STATES,
    SUFFIXES,
    UNITS,
    WORDS,
)
from ingest.plant import MEASUREMENTS

MOST_ELEMENTS: Final = 32


@dataclass
class TagGuess:
    """A tag of the description; without a measurement it is only mentioned there."""

    variable: Variable
    measurement: str = ""
    position: str = ""
    role: str = "measurement"
    unit: str = ""
    data_type: str = ""
    element: int | None = None
    states: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


@dataclass
class EquipmentGuess:
    """A machine of the description."""

    equipment_id: str
    name: str
    kind: str
    area: str | None
    tags: list[TagGuess] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def known(self) -> list[TagGuess]:
        return [tag for tag in self.tags if tag.measurement]


def words(text: str) -> list[str]:
    """The words of a name in lower case: at capitals, digits and whatever is neither letter nor digit."""
    spaced = re.sub(r"(?<=[^\W\dA-Z_])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)", " ", text)
    return re.findall(r"[^\W_]+", spaced.lower())


def guess(variables: Iterable[Variable]) -> list[EquipmentGuess]:
    """The machines of a plant and their tags, in the order in which they were found."""
    found: dict[tuple[str, ...], EquipmentGuess] = {}
    ids: set[str] = set()
    for variable in variables:
        machine, rest = _machine(variable)
        key = tuple(name for name, _ in machine)
        if key not in found:
            found[key] = _equipment(machine, variable, ids)
            ids.add(found[key].equipment_id)
        found[key].tags.extend(_tags(variable, rest))
    for equipment in found.values():
        _tell_apart(equipment)
    return list(found.values())


def _machine(variable: Variable) -> tuple[list[tuple[str, str]], list[str]]:
    """(name, display name) of the machine and what is above it, and the names below it, the variable's the last."""
    path = list(variable.node.path)
    names = [part for part in re.split(r"[./\\|:]", variable.node.name) if part] or [variable.node.name]
    depth = len(path)
    while depth and _belongs_above(path[depth - 1], path[depth - 2] if depth > 1 else None):
        depth -= 1
    above = [(node.name, node.display) for node in path[:depth]]
    below = [node.name for node in path[depth:]]
    if depth and (not path[depth - 1].is_folder or set(words(path[depth - 1].name)) & KINDS.keys()):
        return above, [*below, *names]
    # Nothing but folders that name no machine: it is in the variable's name, if anywhere.
    if len(names) > 1:
        return [*above, *((name, name) for name in names[:-1])], [*below, names[-1]]
    pieces = re.split(r"([_\- ]+)", names[0])
    for end in range(len(pieces) - 2, 0, -2):
        if set(words(pieces[end - 1])) & KINDS.keys() - PARTS:
            if end + 2 < len(pieces) and pieces[end + 1].isdigit():
                end += 2
            machine = "".join(pieces[:end])
            return [*above, (machine, machine)], [*below, "".join(pieces[end + 1 :])]
    return above, [*below, *names]


def _belongs_above(node: Node, parent: Node | None) -> bool:
    meant = {word for word in words(node.name) if not word.isdigit()}
    if not meant or parent is None:
        return False
    return meant <= GROUPS or (meant <= GROUPS | PARTS and not parent.is_folder)


def _equipment(machine: Sequence[tuple[str, str]], variable: Variable, ids: set[str]) -> EquipmentGuess:
    doubts = []
    name, display = (_plain(text) for text in machine[-1]) if machine else ("PLANT", "Plant")
    if not machine:
        doubts.append("no object above these nodes tells the machine")
    equipment_id = name
    for above, _ in reversed(machine[:-1]):
        if equipment_id not in ids:
            break
        equipment_id = f"{_plain(above)}-{equipment_id}"
    number = 2
    while equipment_id in ids:
        equipment_id, number = f"{name}-{number}", number + 1
    typed = variable.kinds[-1] if variable.kinds else ""
    kind = next((KINDS[word] for word in [*words(name), *words(display), *words(typed)] if word in KINDS), "")
    if not kind:
        kind = "_".join(word for word in words(typed) if word != "type") or "machine"
        doubts.append("what sort of machine it is, is a guess")
    return EquipmentGuess(
        equipment_id, display, kind, _plain(machine[-2][1]) if len(machine) > 1 else None, doubts=doubts
    )


def _tags(variable: Variable, below: Sequence[str]) -> list[TagGuess]:
    """The tag of a scalar, the tags of an array's elements; one without measurement where there can be none."""
    data_type = DATA_TYPES.get(variable.data_type or "", "")
    if re.search(r"[\x00\ud800-\udfff]", variable.text):
        return [TagGuess(variable, doubts=["its node id holds what Postgres can't store"])]
    if not data_type or variable.rank > 1 or not variable.readable:
        what = f"{variable.data_type or 'a type of its own'}{' in several dimensions' if variable.rank > 1 else ''}"
        return [TagGuess(variable, doubts=["not readable" if not variable.readable else f"{what} is not collected"])]
    if variable.rank < 1:
        return [_tag(variable, below, data_type)]
    if not variable.length:
        return [TagGuess(variable, doubts=["an array without elements: give the tags their element"])]
    tags = [_tag(variable, below, data_type, element) for element in range(min(variable.length, MOST_ELEMENTS))]
    if variable.length > MOST_ELEMENTS:
        tags[-1].doubts.append(f"{variable.length - MOST_ELEMENTS} more elements are left out")
    return tags


def _tag(variable: Variable, below: Sequence[str], data_type: str, element: int | None = None) -> TagGuess:
    tag = TagGuess(variable, data_type=data_type, element=element)
    said = [word for name in below for word in words(name)]
    by_word = [word for word in said if word in WORDS]
    by_unit = UNITS.get((variable.unit or "").replace(" ", "").lower())
    # The last word rules, as in "motor temperature"; the unit rules over all, for it says what is measured.
    meaning = by_unit or (WORDS[by_word[-1]] if by_word else "")
    used = {word for word in by_word if WORDS[word] == meaning}
    suffix = said[-1] if said and said[-1] in SUFFIXES and len(said) > 1 else None
    tag.unit = _plain(variable.unit) if variable.unit else ""
    if not tag.unit and suffix and meaning and UNITS.get(SUFFIXES[suffix].lower()) == meaning:
        tag.unit = SUFFIXES[suffix]
        used.add(suffix)
    whole = " ".join(said)
    if set(said) & SET_POINT or "set point" in whole:
        used |= (SET_POINT | {"set", "point"}) & set(said)
        tag.role, tag.measurement = "set_point", f"{meaning or _slug(said, used) or 'value'}_sp"
        used |= set() if meaning else set(said)
    elif data_type in ("string", "boolean") or (set(said) & STATE and data_type == "integer"):
        used |= STATE & set(said)
        named = _slug(said, used) if not set(said) & STATE else ""
        tag.role, tag.measurement = "state", named or "run_state"
        used |= set(said) if named else set()
        _name_states(tag)
    elif data_type == "datetime":
        tag.doubts.append("a time is no measurement")
    elif meaning:
        tag.measurement = meaning
        if by_unit and by_word and not used:
            tag.doubts.append(f"its name says {WORDS[by_word[-1]]}, its unit {by_unit}")
        if not tag.unit:
            tag.doubts.append("unit unknown")
    elif set(said) & COUNTER:
        tag.role, tag.measurement = "counter", _slug(said, set()) or "counter"
        used |= set(said)
    else:
        tag.doubts.append(f"measurement: one of {', '.join(MEASUREMENTS)}, or a role of its own")
    tag.position = _slug(said, used)
    if element is not None:
        tag.position = "_".join(filter(None, (tag.position, str(element + 1))))
    return tag


def _name_states(tag: TagGuess) -> None:
    for number, name in enumerate(tag.variable.state_names):
        if state := next((STATES[word] for word in words(name) if word in STATES), None):
            tag.states[str(number)] = state
    if not tag.states:
        tag.doubts.append("states: which value is running, idle, stopped, maintenance")


def _plain(text: str) -> str:
    """A name that people and Postgres can read, whatever characters a server has in it."""
    return "".join(character if character.isprintable() else " " for character in text).strip() or "unnamed"


def _slug(said: Sequence[str], without: Iterable[str]) -> str:
    """Words as plant.yml names things: letters, digits and underscores, a letter first."""
    left = [re.sub(r"[^a-z0-9]", "", word) for word in said if word not in set(without)]
    return re.sub(r"^[0-9_]+(?=[a-z])", "", "_".join(filter(None, left)))


def _tell_apart(equipment: EquipmentGuess) -> None:
    """Give tags of one meaning positions that differ; one without a measurement's name of its own keeps none."""
    taken: set[tuple[str, str]] = set()
    for tag in equipment.known:
        if not re.match(r"^[a-z][a-z0-9_]*$", tag.measurement):
            tag.doubts.append("measurement: its name has no Latin letters")
            tag.measurement = ""
            continue
        position, number = tag.position, 2
        while (tag.measurement, tag.position) in taken:
            tag.position, number = "_".join(filter(None, (position, str(number)))), number + 1
        if tag.position != position:
            tag.doubts.append("its position is a guess: another has the same name")
        taken.add((tag.measurement, tag.position))
