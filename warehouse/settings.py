"""Where this installation keeps its state, listens and connects: one frozen object, built once and passed in.

Every field is read from the environment. `MILLWRIGHT_VAR=/data python -m ingest run` moves the state;
`PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER` and `PGPASSWORD` (libpq's own names) point at a server of one's own.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HOME = Path(__file__).resolve().parent.parent


def _libpq(name: str) -> AliasChoices:
    return AliasChoices(name, name.lower())


class Settings(BaseSettings):
    """Addresses and folders. Ports are those of 127.0.0.1 unless `bind` says otherwise."""

    model_config = SettingsConfigDict(env_prefix="MILLWRIGHT_", frozen=True, extra="ignore", populate_by_name=True)

    var: Path = Field(HOME / "var", description="folder that holds all state")
    plant: Path = Field(HOME / "plant.yml", description="the plant file")
    bind: str = Field("127.0.0.1", description="address that servers listen on")
    postgres_port: int = Field(55432, description="port of the embedded Postgres")
    airflow_port: int = Field(8080, description="port of the Airflow UI and API")
    mlflow_port: int = Field(5000, description="port of the MLflow UI and registry")
    opcua_port: int = Field(4840, description="port of the demo plant's OPC UA server")

    pghost: str | None = Field(None, validation_alias=_libpq("PGHOST"), description="a Postgres of your own")
    pgport: int | None = Field(None, validation_alias=_libpq("PGPORT"))
    pgdatabase: str = Field("millwright", validation_alias=_libpq("PGDATABASE"))
    pguser: str = Field("millwright", validation_alias=_libpq("PGUSER"), description="role that migrates")
    pgpassword: str | None = Field(None, validation_alias=_libpq("PGPASSWORD"))

    @property
    def embedded(self) -> bool:
        """True while no `PGHOST` names another server; `var/env` names the embedded one by its own address."""
        return self.pghost is None or (self.pghost == "127.0.0.1" and self.pgport == self.postgres_port)

    @property
    def host(self) -> str:
        return self.pghost or "127.0.0.1"

    @property
    def port(self) -> int:
        return self.postgres_port if self.embedded else (self.pgport or 5432)
