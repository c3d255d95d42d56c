"""The environment of the Procfile's processes: secrets stay put and private, addresses follow the settings."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest
from rich.console import Console

from stack.environment import airflow_secrets, environment
from stack.errors import StackError
from stack.session import require_ports, with_demo_plant
from stack.status import addresses
from warehouse.errors import WarehouseError
from warehouse.server import free_port
from warehouse.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        var=tmp_path / "var", postgres_port=free_port(), airflow_port=free_port(), mlflow_port=free_port(),
        opcua_port=free_port(), metrics_port=free_port(),
    )  # fmt: skip


def test_secrets_are_made_once_and_readable_by_their_owner_only(settings: Settings) -> None:
    assert airflow_secrets(settings) == airflow_secrets(settings)
    environment(settings)
    for name in ("secrets.json", "ui_passwords.json"):
        assert stat.S_IMODE((settings.var / "airflow" / name).stat().st_mode) == 0o600
    stored = json.loads((settings.var / "airflow" / "ui_passwords.json").read_text())
    assert stored == {"admin": airflow_secrets(settings)["admin_password"]}


def test_children_get_the_same_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(settings).items():
        if name.startswith("MILLWRIGHT_"):
            monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_airflow_and_mlflow_listen_where_the_settings_say(settings: Settings) -> None:
    added = environment(settings)
    assert added["AIRFLOW__API__PORT"] == str(settings.airflow_port)
    assert added["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert added["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://127.0.0.1:{settings.airflow_port}/execution/"
    assert f"127.0.0.1:{settings.mlflow_port}" in added["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert "*" not in added["MLFLOW_SERVER_ALLOWED_HOSTS"]


def test_a_taken_port_is_named_with_its_setting(settings: Settings) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.mlflow_port))
        taken.listen()
        with pytest.raises(WarehouseError, match=rf"port {settings.mlflow_port} .*MILLWRIGHT_MLFLOW_PORT"):
            require_ports(settings, demo=True)
    require_ports(settings, demo=True)


def test_two_settings_with_one_port_are_told_apart(settings: Settings) -> None:
    twice = settings.model_copy(update={"mlflow_port": settings.airflow_port})
    with pytest.raises(StackError, match="MILLWRIGHT_MLFLOW_PORT and MILLWRIGHT_AIRFLOW_PORT are both"):
        require_ports(twice, demo=False)


def test_the_demo_plant_moves_with_its_port(settings: Settings) -> None:
    from ingest.plant import load_plant

    moved = with_demo_plant(settings)
    assert {server.url for server in load_plant(moved.plant).servers.values()} == {
        f"opc.tcp://127.0.0.1:{settings.opcua_port}"
    }
    own = settings.model_copy(update={"plant": settings.var / "my.yml"})
    assert with_demo_plant(own) is own


def test_addresses_are_whole_on_a_narrow_terminal(settings: Settings) -> None:
    console = Console(width=80, file=(told := io.StringIO()))
    console.print(addresses(settings, demo=True))
    assert f"postgresql://127.0.0.1:{settings.postgres_port}/millwright " in told.getvalue()
    assert f"http://127.0.0.1:{settings.metrics_port}/metrics " in told.getvalue()
