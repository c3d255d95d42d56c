"""Connecting to asyncua's own server, where node-opcua has no like of it, and the look that `check` takes."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server as AsyncuaServer
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from rich.console import Console

from ingest.errors import ConnectError
from ingest.opcua.check import Finding, Report, check, table
from ingest.opcua.client import connection
from ingest.opcua.security import Pki
from ingest.plant import Plant, Server, Tag
from tests.conftest import free_port


class Users:
    def get_user(
        self, _server: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        return User(role=UserRole.User) if (username, password) == ("operator", "s3cret") else None


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that knows nothing but plain passwords."""
    server = AsyncuaServer(user_manager=Users())
    await server.init()
    address = f"opc.tcp://127.0.0.1:{free_port()}"
    server.set_endpoint(address)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.start()
    yield address
    await server.stop()


async def refused(pki: Pki, **keys: Any) -> str:
    with pytest.raises(ConnectError) as caught:
        async with connection("main", Server(**keys), pki):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_password_crosses_no_network_in_the_clear_unless_told(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki = Pki(tmp_path)
    monkeypatch.setenv("OPERATOR_PASSWORD", "s3cret")
    user: dict[str, Any] = {"url": url, "username": "operator", "password_env": "OPERATOR_PASSWORD"}
    assert "in the clear; set security_policy in plant.yml, or plain_password" in await refused(pki, **user)
    async with connection("main", Server(**user, plain_password=True), pki) as client:
        assert await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)).read_value() == 0
    monkeypatch.setenv("OPERATOR_PASSWORD", "guess")
    assert "refuses user 'operator'" in await refused(pki, **user, plain_password=True)


async def test_a_sort_of_identity_that_a_server_does_not_take_is_said(url: str, tmp_path: Path) -> None:
    assert "doesn't take anonymous at this endpoint, but user and password" in await refused(Pki(tmp_path), url=url)


async def test_a_server_that_is_mute_ends_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.opcua.client.REQUEST_TIMEOUT_S", 0.3)
    callers: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda _reader, writer: callers.append(writer), "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    assert "no answer; check the address" in await refused(Pki(tmp_path), url=f"opc.tcp://127.0.0.1:{port}")
    mute.close()
    for writer in callers:
        writer.close()
    await mute.wait_closed()


async def test_a_host_that_is_not_known_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no such host; check the url" in await refused(Pki(tmp_path), url="opc.tcp://nowhere.invalid:4840")


async def test_our_certificate_passes_whoever_judges_all_of_it(tmp_path: Path) -> None:
    pki, trusted = Pki(tmp_path / "pki"), tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "collector.der").write_bytes(pki.own(datetime.now(UTC)).certificate.read_bytes())
    store = TrustStore([trusted], [])
    await store.load()
    asked = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
    own = Pki(tmp_path / "server").own(datetime.now(UTC))
    server = AsyncuaServer()
    await server.init()
    address = f"opc.tcp://127.0.0.1:{free_port()}"
    server.set_endpoint(address)
    await server.load_certificate(str(own.certificate))
    await server.load_private_key(str(own.key))
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_certificate_validator(CertificateValidator(asked, store))
    await server.start()
    secured = Server(url=address, security_policy="Basic256Sha256")
    async with connection("main", secured, pki) as client:
        assert await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)).read_value() == 0
    stranger = await refused(Pki(tmp_path / "stranger"), url=address, security_policy="Basic256Sha256")
    assert "doesn't trust this collector's certificate" in stranger and "pki/trusted/certs" in stranger
    await server.stop()


async def test_check_looks_at_every_server_though_one_is_away(tmp_path: Path) -> None:
    server = AsyncuaServer()
    await server.init()
    here, away = f"opc.tcp://127.0.0.1:{free_port()}", f"opc.tcp://127.0.0.1:{free_port()}"
    server.set_endpoint(here)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.start()
    clock = {"node": "i=2258", "measurement": "clock", "role": "counter", "data_type": "datetime"}
    state = {"node": "i=2259", "measurement": "state", "role": "state", "data_type": "string"}
    plant = Plant.model_validate(
        {
            "plant_id": "P1",
            "name": "Plant",
            "timezone": "UTC",
            "servers": {"away": {"url": away}, "here": {"url": here}},
            "equipment": {
                "A": {"name": "A", "type": "pump", "server": "away", "tags": [clock]},
                "B": {"name": "B", "type": "pump", "server": "here", "tags": [clock, state]},
            },
        }
    )
    report = await check(plant, Pki(tmp_path))
    await server.stop()
    assert [(finding.server, finding.outcome) for finding in report.findings] == [
        ("here", "ok"),
        ("here", "wrong type"),
    ]
    assert report.findings[1].detail == "Int32; plant.yml says string; data_type: integer would fit"
    assert list(report.unreachable) == ["away"] and report.exit_code == 2
    assert list(report.skew_s) == ["here"]
    assert (tmp_path / "own" / "certificate.der").exists(), "made before any server asks for it"
    shown = Console(file=io.StringIO(), width=200)
    table(report, shown)
    text = shown.file.getvalue()
    assert "1 of 2 tags ok" in text and f"server 'away' ({away}): nothing listens there" in text


def test_a_clock_that_is_wrong_is_no_clean_bill() -> None:
    report = Report(skew_s={"main": -42.0})
    assert report.exit_code == 1
    shown = Console(file=io.StringIO(), width=200)
    table(report, shown)
    assert "server 'main' is 42 s behind this machine; set both by NTP" in shown.file.getvalue()


def test_what_servers_say_is_shown_as_it_is() -> None:
    # rich made the third byte of this fingerprint an emoji.
    reason = "server 'main': SHA-256 39:A6:AB:A8:78; [red]see[/] the log"
    tag = Tag(node="i=1", measurement="state", role="state", data_type="string")
    finding = Finding("main", "PUMP", tag, "bad quality", "[b]:ab:[/b]", "BadSensorFailure")
    shown = Console(file=io.StringIO(), width=200)
    table(Report([finding], unreachable={"main": reason}), shown)
    text = shown.file.getvalue()
    assert reason in text and "[b]:ab:[/b]" in text
