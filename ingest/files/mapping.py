"""What the columns of a recorded file mean: a historian's export, a test rig's log. Reads and checks `maps/*.yml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ingest.errors import MapFileError
from ingest.plant import (
    MEASUREMENTS,
    DataType,
    Equipment,
    Plant,
    Server,
    Tag,
    TagRole,
    first_problem,
    read_yaml,
)
from ingest.section import Section, TimeZone


class Timestamp(Section):
    """The column of the source timestamp and how it is written."""

    column: str
    format: str = Field("iso", description="iso, unix_s, unix_ms, or a strptime format such as '%d.%m.%Y %H:%M:%S'")
    timezone: TimeZone = Field("UTC", description="zone of timestamps that don't carry one")

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in ("iso", "unix_s", "unix_ms") and "%" not in value:
            raise ValueError(f"must be iso, unix_s, unix_ms or a strptime format. Got: {value!r}")
        return value


class Source(Section):
    """Which machine a row belongs to: a fixed id, a template over the file's stem, or a column.

    A column's values are the machines' ids, or what a template makes of them.
    """

    id: str | None = Field(None, min_length=1)
    column: str | None = Field(None, min_length=1)
    template: str | None = Field(None, description="such as SKAB-{stem}; with column, PDM-{value}")
    name: str | None = Field(None, description="template too; the id where it is left out")
    type: str = "machine"
    area: str | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Source:
        if sum(given is not None for given in (self.id, self.column or self.template)) != 1:
            raise ValueError("give exactly one of id, column, template; a column may have a template")
        for template in (self.template, self.name):
            if template is not None and "{" in template.replace(self.placeholder, ""):
                raise ValueError(f"{self.placeholder} is the only placeholder. Got: {template!r}")
        if self.template is not None and self.placeholder not in self.template:
            raise ValueError(
                f"template must hold {self.placeholder}; a fixed id is written as id. Got: {self.template!r}"
            )
        return self

    @property
    def placeholder(self) -> str:
        """What a template is filled with: the column's value, or the file's stem."""
        return "{value}" if self.column is not None else "{stem}"

    def equipment_id(self, value: str) -> str:
        """The machine of a column's value or of a file's stem."""
        if self.id is not None:
            return self.id
        return value if self.template is None else self.template.replace(self.placeholder, value)


class Column(Section):
    """What a column of a wide file measures."""

    measurement: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    position: str = ""
    unit: str = ""
    role: TagRole = "measurement"
    data_type: DataType = "double"

    @model_validator(mode="after")
    def _known_measurement(self) -> Column:
        if self.role == "measurement" and self.measurement not in MEASUREMENTS:
            raise ValueError(f"measurement must be one of {', '.join(MEASUREMENTS)}. Got: {self.measurement!r}")
        return self


class LongColumns(Section):
    """The columns of a long file: one reading a row."""

    measurement: str = "measurement"
    position: str | None = None
    value: str = "value"
    value_text: str | None = None
    status: str | None = None


class MappedPlant(Section):
    """The plant that recorded machines belong to when nothing else describes them."""

    plant_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    name: str
    timezone: TimeZone = "UTC"


class Mapping(Section):
    """The whole file.

    A wide file has a column a measurement, a long one a row a reading. Wide maps describe machines of their own
    (`plant`); the tags of a long file are those of a `plant.yml` that has been synced.
    """

    layout: Literal["wide", "long"]
    separator: str = Field(",", min_length=1, max_length=1)
    timestamp: Timestamp
    delay_s: float = Field(0.0, ge=0, description="how long after its source time a reading could have been known")
    sampling_interval_ms: int = Field(1000, ge=1, le=3_600_000, description="of a replay's tags")
    namespace: str = Field("urn:millwright:replay", description="namespace URI of a replay's nodes")
    belongs_to: MappedPlant | None = None
    equipment: Source
    columns: dict[str, Column] = Field({}, description="wide: what each column measures")
    long: LongColumns | None = None
    ignored: list[str] = Field([], description="columns that are knowingly left out; others are an error")

    @model_validator(mode="after")
    def _consistent(self) -> Mapping:
        if self.layout == "wide":
            if not self.columns:
                raise ValueError("columns: a wide map names at least one")
            if self.long is not None:
                raise ValueError("long belongs to the long layout")
            if self.belongs_to is None:
                raise ValueError("belongs_to: a wide map names the plant of its machines (plant_id, name)")
            meanings = [(column.measurement, column.position) for column in self.columns.values()]
            for meaning in meanings:
                if meanings.count(meaning) > 1:
                    raise ValueError(
                        f"columns: {meaning[0]!r} at position {meaning[1]!r} is given twice; give each a position"
                    )
        elif self.columns or self.long is None:
            raise ValueError("a long map has the key long, and no columns")
        for column in self.ignored:
            if column in self.columns or column in (self.timestamp.column, self.equipment.column):
                raise ValueError(f"ignored: column {column!r} is mapped as well")
        return self

    def equipment_id(self, stem: str) -> str:
        """The machine of the file `<stem>.csv`; for maps whose equipment is fixed or a template."""
        if self.equipment.column is not None:
            raise MapFileError(f"equipment is read from the column {self.equipment.column!r}, not from the file's name")
        return self.equipment.equipment_id(stem)

    def node(self, equipment_id: str, column: Column) -> str:
        """The node id under which a replay serves a column."""
        parts = [equipment_id, column.measurement, column.position]
        return f"nsu={self.namespace};s={'.'.join(part for part in parts if part)}"

    def plant(self, url: str, stems: Sequence[str] = ("replay",)) -> Plant:
        """The plant description of a replay at `url` of the files `<stem>.csv`, a machine each.

        Where the machine is a column, `stems` are its values. Raises MapFileError for maps of the long layout:
        what their tags are, the map doesn't say.
        """
        if self.belongs_to is None:
            raise MapFileError("a map without belongs_to doesn't describe a plant; use that of its plant.yml")
        equipment = {}
        for stem in stems:
            equipment_id = self.equipment.equipment_id(stem)
            tags = [
                Tag(
                    node=self.node(equipment_id, column),
                    measurement=column.measurement,
                    position=column.position,
                    role=column.role,
                    unit=column.unit,
                    data_type=column.data_type,
                    sampling_interval_ms=self.sampling_interval_ms,
                    queue_size=None,
                    limits=None,
                )
                for column in self.columns.values()
            ]
            equipment[equipment_id] = Equipment(
                name=(self.equipment.name or equipment_id).replace(self.equipment.placeholder, stem),
                type=self.equipment.type,
                area=self.equipment.area,
                server="replay",
                tags=tags,
                load=None,
            )
        return Plant(
            plant_id=self.belongs_to.plant_id,
            name=self.belongs_to.name,
            timezone=self.belongs_to.timezone,
            servers={"replay": Server.model_validate({"url": url})},
            equipment=equipment,
            limits={},
        )


def load_mapping(path: Path) -> Mapping:
    """Read and check a map.

    Raises MapFileError, one line that names the file, the place, what is wrong and what is allowed.
    """
    document = read_yaml(path, MapFileError)
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        raise MapFileError(f"{path}: {first_problem(error, Mapping)}") from error
