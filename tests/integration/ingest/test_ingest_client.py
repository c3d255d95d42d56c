"""Connecting to asyncua's own server, where node-opcua has no like of it: plain passwords, and what can't connect."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server as AsyncuaServer
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole

from ingest.client import connection
from ingest.errors import ConnectError
from ingest.plant import Server
from ingest.security import Pki
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
    monkeypatch.setattr("ingest.client.REQUEST_TIMEOUT_S", 0.3)
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
