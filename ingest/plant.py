"""The plant in one file: servers, equipment, tags, limits, set points. Reads and checks `plant.yml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from ingest.errors import IngestError, PlantFileError
from ingest.limits import Limits, default_limits
from ingest.section import Number, Section, TimeZone

MEASUREMENTS = ("temperature", "vibration", "pressure", "throughput", "power", "speed", "current", "voltage")
DataType = Literal["double", "integer", "boolean", "string", "datetime"]
TagRole = Literal["measurement", "set_point", "state", "counter"]
SecurityPolicy = Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]


class Server(Section):
    """An OPC UA endpoint and how its session is kept."""

    url: str = Field(pattern=r"^opc\.tcp://")
    publishing_interval_ms: int = Field(500, ge=50, le=60_000)
    session_timeout_s: int = Field(30, ge=5, le=3600)
    silence_timeout_s: int = Field(10, ge=3, le=3600, description="without a value for so long the client is rebuilt")
    oldest_value_days: int = Field(400, ge=1, description="live values older than this are rejected")
    future_tolerance_s: int = Field(300, ge=0, description="live values further ahead of our clock are rejected")
    security_policy: SecurityPolicy = "None"
    security_mode: Literal["Sign", "SignAndEncrypt"] | None = Field(None, description="SignAndEncrypt unless given")
    trust: Literal["first-use", "listed"] = Field(
        "first-use", description="listed: only a certificate of var/pki/trusted; else the first one seen is pinned"
    )
    username: str | None = None
    password_env: str | None = Field(None, description="name of the environment variable that holds the password")
    plain_password: bool = Field(False, description="whether the password may cross the network in the clear")
    user_certificate: Path | None = Field(None, description="DER or PEM; relative to var/pki")
    user_key: Path | None = Field(None, description="its private key; relative to var/pki")

    @model_validator(mode="after")
    def _identity(self) -> Server:
        if "@" in self.url:
            raise ValueError("url must hold no user and no password: say username and password_env")
        if self.security_mode is not None and not self.secure:
            policies = ", ".join(get_args(SecurityPolicy)[1:])
            raise ValueError(f"security_mode needs a security_policy: {policies}")
        if (self.user_certificate is None) != (self.user_key is None):
            raise ValueError("user_certificate and user_key are given together or not at all")
        if self.username and self.user_certificate:
            raise ValueError("a session has one identity: username or user_certificate, not both")
        if self.password_env and not self.username:
            raise ValueError("password_env needs a username")
        return self

    @property
    def secure(self) -> bool:
        return self.security_policy != "None"

    @property
    def mode(self) -> str:
        """The message security mode by the name that the protocol gives it."""
        return (self.security_mode or "SignAndEncrypt") if self.secure else "None_"

    @property
    def identified(self) -> bool:
        """Whether the session is a user's; else it is anonymous."""
        return self.username is not None or self.user_certificate is not None


class Deadband(Section):
    """How far a value moves before the server tells it: in the tag's unit, or in percent of the node's EURange."""

    absolute: Number | None = Field(default=None, gt=0)
    percent: Number | None = Field(default=None, gt=0, le=100)

    @model_validator(mode="after")
    def _one_of_two(self) -> Deadband:
        if (self.absolute is None) == (self.percent is None):
            raise ValueError("must be {absolute: <in the tag's unit>} or {percent: <of the node's EURange>}")
        return self


class Tag(Section):
    """One node of the server and what it means."""

    node: str = Field(
        pattern=r"^(nsu=[^;\x00]+;)?(i=\d+|[sgb]=[^\x00]+)$",
        description="nsu=<namespace uri>;s=<identifier> (or i=, g=, b=)",
    )
    measurement: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    position: str = ""
    role: TagRole = "measurement"
    unit: str = ""
    data_type: DataType = "double"
    states: dict[str, Literal["running", "idle", "stopped", "maintenance"]] = Field({})
    element: int | None = Field(default=None, ge=0, description="which element of a one-dimensional array, from 0")
    sampling_interval_ms: int = Field(1000, ge=0, le=3_600_000)
    queue_size: int | None = Field(None, ge=1, description="derived from the intervals if not given")
    deadband: Deadband | None = None
    discard: Literal["oldest", "newest"] = Field(default="oldest", description="what a full queue on the server loses")
    limits: Limits | None = None

    @property
    def address(self) -> str:
        """What the tag is known by on its server: the node, and of an array the element."""
        return self.node if self.element is None else f"{self.node}[{self.element}]"

    @property
    def monitoring(self) -> tuple[Any, ...]:
        """How the node is asked for; element tags of one node share it."""
        return self.sampling_interval_ms, self.queue_size, self.deadband, self.discard

    @field_validator("states", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return {str(key): state for key, state in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _known_measurement(self) -> Tag:
        if self.role == "measurement" and self.measurement not in MEASUREMENTS:
            raise ValueError(f"measurement must be one of {', '.join(MEASUREMENTS)}. Got: {self.measurement!r}")
        return self

    @model_validator(mode="after")
    def _deadband_of_a_number(self) -> Tag:
        if self.deadband is not None and self.data_type not in ("double", "integer"):
            raise ValueError(f"deadband: data_type must be double or integer for it. Got: {self.data_type!r}")
        return self


class Equipment(Section):
    """A machine: where it stands, what its load is measured by, and its tags."""

    name: str
    type: str
    area: str | None = None
    server: str
    load: str | None = Field(None, description="measurement that tells how hard the machine works")
    rated_load: Number | None = None
    tags: list[Tag] = Field(min_length=1)


class Plant(Section):
    """The whole file."""

    plant_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    name: str
    timezone: TimeZone
    servers: dict[str, Server] = Field(min_length=1)
    equipment: dict[str, Equipment] = Field(min_length=1)
    limits: dict[str, Limits] = Field({}, description="defaults by measurement")

    @field_validator("servers")
    @classmethod
    def _file_names(cls, value: dict[str, Server]) -> dict[str, Server]:
        # Spool and certificates of a server are kept in files of its name.
        if wrong := [name for name in value if not re.fullmatch(r"[\w-][\w.-]*", name)]:
            raise ValueError(f"a server's name must be letters, digits, '-', '_' and '.'. Got: {wrong[0]!r}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Plant:
        nodes: dict[tuple[str, str], tuple[str, Tag]] = {}
        addresses: dict[tuple[str, str], str] = {}
        for equipment_id, equipment in self.equipment.items():
            if equipment.server not in self.servers:
                allowed = ", ".join(self.servers)
                raise ValueError(f"equipment.{equipment_id}.server must be one of {allowed}. Got: {equipment.server!r}")
            if (equipment.load is None) != (equipment.rated_load is None):
                raise ValueError(f"equipment.{equipment_id}: load and rated_load are given together or not at all")
            meanings: set[tuple[str, str]] = set()
            for index, tag in enumerate(equipment.tags):
                place = f"equipment.{equipment_id}.tags[{index}]"
                if (same := addresses.get((equipment.server, tag.address))) is not None:
                    raise ValueError(
                        f"{place}: duplicate tag: node {tag.address!r} is already {same}; a node is one tag"
                        " (or one an element of its array)"
                    )
                addresses[equipment.server, tag.address] = place
                earlier, other = nodes.setdefault((equipment.server, tag.node), (place, tag))
                if (other.element is None) != (tag.element is None):
                    raise ValueError(
                        f"{place}: duplicate tag: node {tag.node!r} is already {earlier};"
                        " give each tag of an array its element"
                    )
                if other.monitoring != tag.monitoring:
                    raise ValueError(
                        f"{place}: elements of one array come together: sampling_interval_ms, queue_size, deadband and"
                        f" discard must be those of {earlier}"
                    )
                if (tag.measurement, tag.position) in meanings:
                    raise ValueError(
                        f"{place}: duplicate tag: {equipment_id} already has {tag.measurement!r} at position "
                        f"{tag.position!r}; give each a position of its own"
                    )
                meanings.add((tag.measurement, tag.position))
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def limits_of(self, tag: Tag) -> Limits | None:
        """The tag's own limits, else those of its measurement, else the usual ones in the usual unit."""
        if (given := tag.limits or self.limits.get(tag.measurement)) is not None:
            return given
        return default_limits(tag.measurement, tag.unit)


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where plain YAML keeps the last in silence."""


def _unique_keys(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_keys)


def load_plant(path: Path) -> Plant:
    """Read and check a plant file.

    Raises PlantFileError, one line that names the file, the place, what is wrong and what is allowed.
    """
    document = read_yaml(path)
    try:
        return Plant.model_validate(document)
    except ValidationError as error:
        raise PlantFileError(f"{path}: {first_problem(error, Plant)}") from error


def read_yaml(path: Path, failure: type[IngestError] = PlantFileError) -> Any:
    """A YAML file as Python values; raises `failure` with the line where it can't be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, Loader=_Loader)
    except OSError as error:
        raise failure(f"{path}: can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise failure(f"{path}{place}: not YAML: {getattr(error, 'problem', None) or error}") from error


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of pydantic's complaints as `key: what is wrong; what is allowed`."""
    problem = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_fields_at(model, problem["loc"][:-1]))
        return f"{place}: unknown key; allowed here: {allowed}{more}"
    message = problem["msg"].removeprefix("Value error, ")
    got = "" if problem["type"] == "value_error" or problem["type"] == "missing" else f". Got: {problem['input']!r}"
    return f"{place}: {message}{got}{more}".removeprefix(": ")


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The field names that are legal where `loc` points, found by walking the annotations."""
    from typing import get_args

    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        else:
            current = get_args(current)[-1]
        while not (isinstance(current, type) and issubclass(current, BaseModel)):
            options = [a for a in get_args(current) if isinstance(a, type) and issubclass(a, BaseModel)]
            if not options:
                break
            if part is loc[-1] or not get_args(current):
                current = options[-1]
            else:
                break
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []
