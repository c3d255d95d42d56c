"""What each enterprise table takes: columns, types and what is allowed. A test holds it against the database.

Read from top to bottom this is the interface to MES, SAP and CMMS: an export has these columns, or a map says which of
its own they are. Times without a zone are UTC. `available_at` is when the plant could have known the row: training
never looks at anything later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["text", "number", "integer", "money", "boolean", "date", "time"]


@dataclass(frozen=True)
class Column:
    """One column. Bounds include their end; `after` names a time that must be earlier."""

    name: str
    type: Type
    about: str
    required: bool = True
    key: bool = False
    allowed: tuple[str, ...] = ()
    least: float | None = None
    most_of: str | None = None
    after: str | None = None
    not_before: str | None = None

    @property
    def rule(self) -> str:
        """What is allowed, in words; '' where the type says it all."""
        parts = [f"one of {', '.join(self.allowed)}"] if self.allowed else []
        parts += [] if self.least is None else [f"at least {self.least:g}"]
        parts += [f"at most {self.most_of}"] if self.most_of else []
        parts += [f"after {self.after}"] if self.after else []
        parts += [f"not before {self.not_before}"] if self.not_before else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Contract:
    """One table of `raw`: the system that it comes from, what a row is, its columns."""

    table: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def system(self) -> str:
        return self.table.partition("_")[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> Column:
        return next(column for column in self.columns if column.key)


def _key(name: str, about: str) -> Column:
    return Column(name, "text", about, key=True)


def _optional(name: str, type_: Type, about: str, **rules: object) -> Column:
    return Column(name, type_, about, required=False, **rules)  # type: ignore[arg-type]


_EQUIPMENT = Column("equipment_id", "text", "the machine, as plant.yml names it")
_PLANT = Column("plant_id", "text", "the plant, as plant.yml names it")
_AVAILABLE = Column("available_at", "time", "when the plant could have known the row")
_WORK_ORDER = _optional("work_order_id", "text", "of the CMMS")
_ORDER = _optional("order_id", "text", "the production order")
_UNIT = Column("unit", "text", "of the quantities, such as t")

_CONTRACTS: Final = (
    Contract(
        "mes_production_orders",
        "a production order of a machine",
        (
            _key("order_id", "as the MES numbers it"),
            _EQUIPMENT,
            Column("product", "text", "what is made"),
            Column("planned_quantity", "number", "what is to be made", least=0),
            _UNIT,
            Column("planned_rate", "number", "in the unit an hour at best; performance in OEE is its share", least=0),
            Column("planned_start", "time", "when it is to begin"),
            Column("planned_end", "time", "when it is to be done", after="planned_start"),
            _optional("actual_start", "time", "when it began"),
            _optional("actual_end", "time", "when it was done", not_before="actual_start"),
            Column("status", "text", "how far it is", allowed=("planned", "running", "completed", "cancelled")),
            _AVAILABLE,
        ),
    ),
    Contract(
        "mes_production_counts",
        "a counted stretch of a machine",
        (
            _key("count_id", "as the MES numbers it"),
            _EQUIPMENT,
            _ORDER,
            Column("from_ts", "time", "where the stretch begins"),
            Column("to_ts", "time", "where it ends, not included", after="from_ts"),
            Column("produced_quantity", "number", "what came out", least=0),
            Column("good_quantity", "number", "what of it was good", least=0, most_of="produced_quantity"),
            _UNIT,
            _AVAILABLE,
        ),
    ),
    Contract(
        "mes_downtime",
        "a stretch in which a machine stood",
        (
            _key("downtime_id", "as the MES numbers it"),
            _EQUIPMENT,
            Column("starts_at", "time", "when it stopped"),
            _optional("ends_at", "time", "when it ran again; empty while it stands", after="starts_at"),
            Column("planned", "boolean", "whether the stop was planned"),
            Column("reason", "text", "why it stood, as the MES codes it"),
            _WORK_ORDER,
            _AVAILABLE,
        ),
    ),
    Contract(
        "mes_shifts",
        "a shift",
        (
            _key("shift_id", "as the MES numbers it"),
            _optional("plant_id", "text", "the plant; empty for a shift of every plant"),
            Column("shift", "text", "such as night"),
            _optional("crew", "text", "who works in it"),
            Column("starts_at", "time", "when it begins"),
            Column("ends_at", "time", "when it ends", after="starts_at"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "mes_schedules",
        "a planned stretch of a machine",
        (
            _key("schedule_id", "as the MES numbers it"),
            _EQUIPMENT,
            _ORDER,
            _optional("product", "text", "what is to be made"),
            Column("planned_state", "text", "what is planned", allowed=("production", "maintenance", "idle")),
            _optional("planned_rate", "number", "of the machine's load measurement"),
            Column("starts_at", "time", "when it begins"),
            Column("ends_at", "time", "when it ends", after="starts_at"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "mes_quality_inspections",
        "a quality inspection",
        (
            _key("inspection_id", "as the MES numbers it"),
            _EQUIPMENT,
            _ORDER,
            Column("inspected_at", "time", "when the sample was taken"),
            Column("sample_size", "integer", "how many were looked at", least=1),
            Column("defects", "integer", "how many were not good", least=0),
            _optional("defect_type", "text", "what was wrong with most of them"),
            Column("passed", "boolean", "the verdict"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "sap_plants",
        "a plant",
        (
            _key("plant_id", "as plant.yml names it"),
            Column("name", "text", "its name"),
            Column("country", "text", "where it is"),
            _optional("city", "text", "where it is, more closely"),
            _optional("currency", "text", "what its costs are in, such as EUR"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "sap_equipment",
        "an asset of the equipment master",
        (
            _key("equipment_id", "the machine, as plant.yml names it"),
            _PLANT,
            _optional("manufacturer", "text", "who made it"),
            Column("model", "text", "which model it is"),
            Column("commissioned_on", "date", "its age is counted from here"),
            Column("criticality", "text", "A is the most critical", allowed=("A", "B", "C")),
            _optional("downtime_cost_per_h", "money", "what an hour of standing costs"),
            _optional("currency", "text", "of that cost, such as EUR"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "sap_spare_parts",
        "a spare part in a plant's stock",
        (
            _key("part_id", "as SAP numbers it"),
            _PLANT,
            Column("description", "text", "what it is"),
            Column("component", "text", "what it is for, as the CMMS names components"),
            Column("model", "text", "the model of machine that it fits"),
            Column("stock", "integer", "how many there are", least=0),
            _optional("lead_time_days", "integer", "until a new one comes"),
            _optional("unit_cost", "money", "of one"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "cmms_work_orders",
        "a work order",
        (
            _key("work_order_id", "as the CMMS numbers it"),
            _EQUIPMENT,
            Column("kind", "text", "why it was opened", allowed=("preventive", "corrective", "inspection")),
            _optional("component", "text", "what is worked on"),
            _optional("problem_code", "text", "as the maintainers code what they found"),
            _optional("action_taken", "text", "what they did"),
            Column("opened_at", "time", "when it was opened"),
            _optional("started_at", "time", "when work began; the machine is in maintenance from here"),
            _optional("completed_at", "time", "when work was done; empty while it goes on"),
            _AVAILABLE,
        ),
    ),
    Contract(
        "cmms_maintenance",
        "a component of a machine that was serviced or replaced",
        (
            _key("maintenance_id", "as the CMMS numbers it"),
            _EQUIPMENT,
            Column("component", "text", "what was worked on"),
            Column("kind", "text", "corrective after a failure of the component", allowed=("proactive", "corrective")),
            Column("performed_at", "time", "when it was done"),
            _WORK_ORDER,
            _AVAILABLE,
        ),
    ),
    Contract(
        "cmms_failures",
        "a failure that the maintainers recorded",
        (
            _key("failure_id", "as the CMMS numbers it"),
            _EQUIPMENT,
            Column("component", "text", "what failed"),
            Column("failure_mode", "text", "as the maintainers code it, such as bearing_wear"),
            Column("failed_at", "time", "when it failed"),
            _optional("repaired_at", "time", "when it was repaired; empty while it isn't"),
            _WORK_ORDER,
            _AVAILABLE,
        ),
    ),
    Contract(
        "cmms_errors",
        "an error that a machine reported while it went on",
        (
            _key("error_id", "as the CMMS numbers it"),
            _EQUIPMENT,
            Column("error_code", "text", "as the machine reports it"),
            Column("occurred_at", "time", "when"),
            _optional("message", "text", "what it said, where it said more"),
            _AVAILABLE,
        ),
    ),
)

CONTRACTS: Final = {contract.table: contract for contract in _CONTRACTS}
SYSTEMS: Final = tuple(dict.fromkeys(contract.system for contract in _CONTRACTS))


def tables_of(system: str) -> tuple[str, ...]:
    """The tables of `mes`, `sap` or `cmms`."""
    return tuple(name for name, contract in CONTRACTS.items() if contract.system == system)
