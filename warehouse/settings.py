"""Where this installation keeps its state, listens and connects: one frozen object, built once and passed in.

Every field is read from the environment. `MILLWRIGHT_VAR=/data python -m ingest run` moves the state;
`PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER` and `PGPASSWORD` (libpq's own names) point at a server of one's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from warehouse.errors import WarehouseError

ADMIN = "millwright"
HOME = Path(__file__).resolve().parent.parent


def _libpq(name: str) -> AliasChoices:
    return AliasChoices(name, name.lower())


class Environment(BaseSettings):
    """Fields read from the environment. A value that isn't allowed raises WarehouseError and names its variable."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _named(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = str(problem["loc"][0])
            if name in cls.model_fields:  # else it is the variable's own, libpq's
                name = f"{cls.model_config['env_prefix']}{name.upper()}"
            raise WarehouseError(f"{name}: {problem['msg']}. Got: {problem['input']!r}") from error


class Settings(Environment):
    """Addresses and folders. Ports are those of 127.0.0.1 unless `bind` says otherwise."""

    model_config = SettingsConfigDict(env_prefix="MILLWRIGHT_", populate_by_name=True)

    var: Path = Field(HOME / "var", description="folder that holds all state")
    plant: Path = Field(HOME / "plant.yml", description="the plant file")
    bind: str = Field("127.0.0.1", description="address that servers listen on")
    postgres_port: int = Field(55432, description="port of the embedded Postgres")
    airflow_port: int = Field(8080, description="port of the Airflow UI and API")
    mlflow_port: int = Field(5000, description="port of the MLflow UI and registry")
    docs_port: int = Field(8081, ge=0, le=65_535, description="port of the documentation that `make docs` serves")
    opcua_port: int = Field(4840, description="port of the demo plant's OPC UA server")
    metrics_port: int = Field(
        9464, ge=0, le=65_535, description="port of a collector's /metrics, /healthz and /readyz; 0 takes any free one"
    )
    log_format: Literal["text", "json"] = Field("text", description="how a collector writes its log: text or json")
    spool_gb: float = Field(
        20.0, gt=0, description="most disk (GB) that a server's readings take while they can't land; per server"
    )

    raw_retention_days: int = Field(30, ge=1, description="days that raw readings are kept once they are rolled up")
    silver_retention_days: int = Field(30, ge=1, description="days of marts.silver_enriched_sensors that are kept")
    gold_retention_days: int = Field(
        90, ge=1, description="days of marts.gold_ml_features that are kept; no model learns from more"
    )
    recommendation_retention_days: int = Field(
        180, ge=1, description="days that recommendations, scores and cleared alerts are kept; answers stay for ever"
    )
    ledger_retention_days: int = Field(730, ge=1, description="days that gaps and losses of readings are kept")
    rejected_retention_days: int = Field(90, ge=1, description="days that rejected readings and rows are kept")
    metrics_retention_days: int = Field(90, ge=1, description="days that pipeline metrics are kept")
    partitions_ahead_days: int = Field(7, ge=1, description="day partitions that are made ahead")
    deferral_minutes: int = Field(30, ge=1, description="minutes until a deferred recommendation is pending again")

    pghost: str | None = Field(None, validation_alias=_libpq("PGHOST"), description="a Postgres of your own")
    pgport: int | None = Field(None, validation_alias=_libpq("PGPORT"), description="its port, 5432 unless given")
    pgdatabase: str = Field("millwright", validation_alias=_libpq("PGDATABASE"), description="the warehouse's database")
    pguser: str = Field(
        ADMIN, validation_alias=_libpq("PGUSER"), description="role that migrates a Postgres of your own"
    )
    pgpassword: str | None = Field(
        None, validation_alias=_libpq("PGPASSWORD"), description="its password, else ~/.pgpass"
    )

    @property
    def embedded(self) -> bool:
        """True while no `PGHOST` names another server; `var/env` names the embedded one by its own address."""
        return self.pghost is None or (self.pghost == self._own_address and self.pgport == self.postgres_port)

    @property
    def host(self) -> str:
        """Where clients on this machine connect to."""
        if not self.embedded:
            return str(self.pghost)
        return self._own_address

    @property
    def _own_address(self) -> str:
        return "127.0.0.1" if self.bind in ("0.0.0.0", "::", "localhost") else self.bind

    @property
    def admin(self) -> str:
        """The role that owns the schemas; the embedded server's is its own, whatever `PGUSER` a shell has."""
        return ADMIN if self.embedded else self.pguser

    @property
    def port(self) -> int:
        return self.postgres_port if self.embedded else (self.pgport or 5432)
