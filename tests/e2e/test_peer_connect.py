"""The connection matrix against node-opcua: policy × mode × identity, certificates known and unknown, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ingest.errors import ConnectError
from ingest.opcua.client import connection
from ingest.opcua.nodes import resolve
from ingest.opcua.security import Pki, fingerprint, load_certificate
from ingest.plant import Server
from tests.e2e.peer.launch import Peer

POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
CHANNELS = [("None", None), *((policy, mode) for policy in POLICIES for mode in ("Sign", "SignAndEncrypt"))]
IDENTITIES = ("anonymous", "password", "certificate")
OPEN = {"policies": ["None", *POLICIES], "modes": ["None", "Sign", "SignAndEncrypt"]}


def make_user(folder: Path) -> None:
    """A user's certificate and key, as an administrator would hand them out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "collector")])
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
                key_cert_sign=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "user.der").write_bytes(made.public_bytes(serialization.Encoding.DER))
    encodings = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "user.pem").write_bytes(key.private_bytes(*encodings))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Pki]]:
    """A server that knows our certificate, our user and our user's certificate."""
    pki = Pki(tmp_path_factory.mktemp("pki"))
    make_user(pki.folder / "users")
    folder = tmp_path_factory.mktemp("peer")
    for store, certificate in (
        ("pki", pki.own(datetime.now(UTC)).certificate),
        ("users", pki.folder / "users" / "user.der"),
    ):
        trusted = folder / store / "trusted" / "certs"
        trusted.mkdir(parents=True)
        (trusted / certificate.name).write_bytes(certificate.read_bytes())
    with Peer(folder, users={"operator": "s3cret"}, tags=[{"name": "T", "value": 21.5}], **OPEN) as peer:
        yield peer, pki


def server_of(peer: Peer, **keys: Any) -> Server:
    return Server.model_validate({"url": peer.url, **{key: value for key, value in keys.items() if value is not None}})


def identity_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("PEER_PASSWORD", "s3cret")
    return {
        "anonymous": {},
        "password": {"username": "operator", "password_env": "PEER_PASSWORD"},
        "certificate": {"user_certificate": "users/user.der", "user_key": "users/user.pem"},
    }[kind]


async def read(server: Server, pki: Pki) -> float:
    async with connection("peer", server, pki) as client:
        namespaces = await client.get_namespace_array()
        value = await client.get_node(resolve("nsu=urn:millwright:peer;s=T", namespaces)).read_value()
        return float(value)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize(("policy", "mode"), CHANNELS, ids=[f"{policy}-{mode}" for policy, mode in CHANNELS])
async def test_every_policy_mode_and_identity_connects(
    known: tuple[Peer, Pki], monkeypatch: pytest.MonkeyPatch, policy: str, mode: str | None, identity: str
) -> None:
    peer, pki = known
    server = server_of(peer, security_policy=policy, security_mode=mode, **identity_of(identity, monkeypatch))
    assert await read(server, pki) == 21.5
    assert peer.do("status")["sessions"] == 0, "a session was left behind"


async def refusal(server: Server, pki: Pki) -> str:
    with pytest.raises(ConnectError) as caught:
        await read(server, pki)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"server 'peer' ({server.url}): ")
    return message


async def test_an_unknown_certificate_is_told_where_to_go_and_welcome_once_it_is_there(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    with Peer(tmp_path / "peer", tags=[{"name": "T", "value": 1.0}], **OPEN) as peer:
        server = server_of(peer, security_policy="Basic256Sha256")
        message = await refusal(server, pki)
        assert "pki/rejected" in message and "pki/trusted/certs" in message
        own = pki.own(datetime.now(UTC))
        assert own.fingerprint in message and str(own.certificate) in message
        rejected = list((tmp_path / "peer" / "pki" / "rejected").iterdir())
        assert [fingerprint(load_certificate(path)) for path in rejected] == [own.fingerprint]
        peer.do("trust")
        assert await read(server, pki) == 1.0


async def test_another_certificate_than_before_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    pki, options = Pki(tmp_path / "pki"), {**OPEN, "trust": True, "tags": [{"name": "T", "value": 1.0}]}
    with Peer(tmp_path / "one", **options) as first:
        server = server_of(first, security_policy="Aes256Sha256RsaPss")
        assert await read(server, pki) == 1.0
        before = fingerprint(load_certificate(first.certificate))
        first.stop()
        first.start()
        assert await read(server, pki) == 1.0, "the same certificate after a restart"
        port = first.config["port"]
    with Peer(tmp_path / "two", port=port, **options) as second:
        after = fingerprint(load_certificate(second.certificate))
        message = await refusal(server, pki)
        pin = pki.folder / "pinned" / "peer.der"
        assert before in message and after in message and f"remove {pin}" in message
        pin.unlink()
        assert await read(server, pki) == 1.0
        assert fingerprint(load_certificate(pin)) == after


async def test_listed_means_listed(known: tuple[Peer, Pki]) -> None:
    peer, pki = known
    server = server_of(peer, security_policy="Basic256Sha256", trust="listed")
    message = await refusal(server, pki)
    assert f"put the certificate into {pki.folder / 'trusted'}" in message
    assert fingerprint(load_certificate(peer.certificate)) in message
    listed = pki.folder / "trusted" / "peer.pem"
    listed.parent.mkdir()
    listed.write_bytes(peer.certificate.read_bytes())
    assert await read(server, pki) == 21.5
    listed.unlink()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"username": "operator", "password_env": "PEER_WRONG"}, "refuses user 'operator'; check the password"),
        ({"username": "operator", "password_env": "PEER_UNSET"}, "environment variable PEER_UNSET isn't set"),
        ({"user_certificate": "users/other.der", "user_key": "users/other.pem"}, "users/other.der: can't be read"),
        ({"user_certificate": "users/new/user.der", "user_key": "users/new/user.pem"}, "trusted user certificates"),
    ],
)
async def test_what_is_wrong_with_a_user_is_said(
    known: tuple[Peer, Pki], monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], says: str
) -> None:
    peer, pki = known
    monkeypatch.setenv("PEER_WRONG", "guess")
    if not (pki.folder / "users" / "new").exists():
        make_user(pki.folder / "users" / "new")
    assert says in await refusal(server_of(peer, security_policy="Basic256Sha256", **keys), pki)
    assert peer.do("status")["sessions"] == 0


async def test_what_a_server_does_not_offer_is_said_with_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki = Pki(tmp_path / "pki")
    monkeypatch.setenv("PEER_PASSWORD", "s3cret")
    options = {"policies": ["Basic256Sha256"], "modes": ["Sign"], "anonymous": False, "trust": True}
    with Peer(tmp_path / "one", **options) as peer:
        message = await refusal(server_of(peer, security_policy="Aes128Sha256RsaOaep"), pki)
        assert "doesn't offer Aes128Sha256RsaOaep with SignAndEncrypt" in message
        assert "one of: Basic256Sha256 with Sign" in message
        message = await refusal(server_of(peer), pki)
        assert "doesn't offer None; " in message and "one of: Basic256Sha256 with Sign" in message
        anonymous = await refusal(server_of(peer, security_policy="Basic256Sha256", security_mode="Sign"), pki)
        assert "doesn't take anonymous at this endpoint, but user" in anonymous


async def test_a_server_without_a_free_session_says_so(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    with Peer(tmp_path / "one", max_sessions=1, tags=[{"name": "T", "value": 1.0}]) as peer:
        server = server_of(peer)
        async with connection("first", server, pki):
            assert "no session left; close other clients" in await refusal(server, pki)
        assert await read(server, pki) == 1.0


async def test_a_server_that_does_not_answer_says_so_and_the_next_one_is_not_waited_for(tmp_path: Path) -> None:
    with Peer(tmp_path / "one") as peer:
        server = server_of(peer)
        peer.kill()
        assert "nothing listens there; start the server" in await refusal(server, Pki(tmp_path / "pki"))


async def test_sessions_that_nobody_closed_are_gone_within_their_short_time(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    with Peer(tmp_path / "one", tags=[{"name": "T", "value": 1.0}]) as peer:
        server = server_of(peer, session_timeout_s=5)
        for _ in range(3):
            async with connection("peer", server, pki) as client:
                client.uaclient.protocol.transport.abort()  # as a killed process leaves it
        assert peer.do("status")["sessions"] == 3
        for _ in range(100):
            if peer.do("status")["sessions"] == 0:
                break
            await asyncio.sleep(0.2)
        assert peer.do("status")["sessions"] == 0
