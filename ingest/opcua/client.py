"""A connection to one server: endpoint, certificate and identity, and a failure that says what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from asyncua import Client, ua
from asyncua.client.ua_session import SessionState
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509

from ingest.errors import ConnectError
from ingest.opcua.security import Pki, load_certificate, load_key
from ingest.plant import Server

REQUEST_TIMEOUT_S: Final = 8.0
_TOKENS: Final = {
    ua.UserTokenType.Anonymous: "anonymous",
    ua.UserTokenType.UserName: "user and password",
    ua.UserTokenType.Certificate: "user certificate",
}
# The strongest first: where a server lets the client choose how its password is encrypted.
_POLICIES: Final = {
    policy.URI: policy.__name__.removeprefix("SecurityPolicy")
    for policy in (
        security_policies.SecurityPolicyAes256Sha256RsaPss,
        security_policies.SecurityPolicyAes128Sha256RsaOaep,
        security_policies.SecurityPolicyBasic256Sha256,
        security_policies.SecurityPolicyNone,
    )
}
_UNSECURED: Final = (
    ua.uaerrors.BadSecurityModeRejected,
    ua.uaerrors.BadSecurityPolicyRejected,
    ua.uaerrors.BadSecurityModeInsufficient,
)


class PlantClient(Client):  # type: ignore[misc]  # asyncua has no type marker
    """asyncua's client as plant.yml describes it, not connected; the watch over values is the session's own."""

    def __init__(self, name: str, server: Server, pki: Pki) -> None:
        super().__init__(server.url, timeout=REQUEST_TIMEOUT_S, watchdog_intervall=3600.0)
        self.name = self.description = "Millwright ingest"
        self.session_timeout = server.session_timeout_s * 1000
        self.plant_name, self.plant_server, self.pki = name, server, pki

    async def open(self) -> None:
        """Connect and activate a session. Raises ConnectError, or what asyncua raises."""
        server = self.plant_server
        if server.secure or server.identified:
            self.certificate_validator = self._admit
        if server.username:
            self.set_user(server.username)
            self.set_password(_password(self.plant_name, server))
        elif server.user_certificate and server.user_key:
            self.user_certificate = load_certificate(self.pki.path(server.user_certificate))
            self.user_private_key = load_key(self.pki.path(server.user_key))
        if server.secure:
            await self._secure(server)
        try:
            await self.connect(auto_reconnect=False)
        except _UNSECURED:
            if not server.secure:  # the endpoints, which a secured connection has asked for already, say what would do
                self._endpoint(server, await self.connect_and_get_server_endpoints())
            raise

    async def _secure(self, server: Server) -> None:
        own = self.pki.own(datetime.now(UTC))
        endpoint = self._endpoint(server, await self.connect_and_get_server_endpoints())
        certificate = uacrypto.x509_from_der(endpoint.ServerCertificate)
        if certificate is None:
            raise ConnectError(f"the endpoint has no certificate, and {server.security_policy} needs one")
        self.pki.admit(self.plant_name, certificate, server.trust)
        self.application_uri = own.application_uri
        await self.set_security(
            getattr(security_policies, f"SecurityPolicy{server.security_policy}"),
            own.certificate,
            own.key,
            server_certificate=uacrypto.der_from_x509(certificate),
            mode=ua.MessageSecurityMode[server.mode],
        )

    def _endpoint(self, server: Server, endpoints: Sequence[ua.EndpointDescription]) -> ua.EndpointDescription:
        for endpoint in endpoints:
            policy = _POLICIES.get(endpoint.SecurityPolicyUri)
            if policy == server.security_policy and endpoint.SecurityMode.name == server.mode:
                return endpoint
        offered = sorted({_offer(endpoint) for endpoint in endpoints})
        raise ConnectError(
            f"the server doesn't offer {_channel(server.security_policy, server.mode)}; set security_policy and"
            f" security_mode in plant.yml to one of: {', '.join(offered) or 'nothing'}"
        )

    async def _admit(self, certificate: x509.Certificate, _application: ua.ApplicationDescription) -> None:
        # Also where the channel is not secured: the password is encrypted for this certificate.
        self.pki.admit(self.plant_name, certificate, self.plant_server.trust)

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """The strongest of the server's policies for this sort of identity; asyncua takes the first, which may be None.

        Raises ConnectError where the server doesn't take this sort.
        """
        offered = [policy for policy in self._policy_ids if policy.TokenType == token_type]
        if not offered and self._policy_ids:
            taken = sorted({_TOKENS.get(policy.TokenType, policy.TokenType.name) for policy in self._policy_ids})
            raise ConnectError(
                f"the server doesn't take {_TOKENS[token_type]} at this endpoint, but {', '.join(taken) or 'nothing'};"
                " change username, user_certificate or security_policy in plant.yml, or the server's settings"
            )
        if not offered:  # a server that names no policy at all
            return super().server_policy(token_type)
        meant = [
            dataclasses.replace(policy, SecurityPolicyUri=policy.SecurityPolicyUri or self.security_policy.URI)
            for policy in offered
        ]
        order = list(_POLICIES)
        return min(
            meant, key=lambda p: order.index(p.SecurityPolicyUri) if p.SecurityPolicyUri in order else len(order)
        )

    def _add_user_auth(self, params: ua.ActivateSessionParameters, username: str | None, password: str | None) -> None:
        policy = self.server_policy(ua.UserTokenType.UserName)
        secret = self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        plain = _POLICIES.get(policy.SecurityPolicyUri) == "None" and not secret
        if plain and not self.plant_server.plain_password:
            raise ConnectError(
                "the password would cross the network in the clear; set security_policy in plant.yml, or"
                " plain_password: true where the network is as safe as the password"
            )
        super()._add_user_auth(params, username, password)


@asynccontextmanager
async def connection(name: str, server: Server, pki: Pki) -> AsyncIterator[Client]:
    """A connected client with an activated session, closed when left.

    Raises ConnectError, one line that says what is wrong and what to do.
    """
    client = PlantClient(name, server, pki)
    await connect(client)
    try:
        yield client
    finally:
        await close(client)


async def connect(client: PlantClient) -> None:
    """Open `client`, which is closed again where that fails.

    Raises ConnectError, one line that says what is wrong and what to do.
    """
    name, server, pki = client.plant_name, client.plant_server, client.pki
    try:
        await asyncio.wait_for(client.open(), 3 * REQUEST_TIMEOUT_S)
    except BaseException as error:
        await close(client)
        if isinstance(error, ConnectError):
            raise ConnectError(f"server {name!r} ({server.url}): {error}") from error
        if isinstance(error, Exception):  # asyncua raises nearly everything, down to bare assertions
            raise ConnectError(f"server {name!r} ({server.url}): {_failure(error, server, pki)}") from error
        raise


async def abandon(client: Client) -> None:
    """Leave the session, with its subscriptions, on the server for a later connection, and drop this one."""
    client.session_state_path = None
    client.uaclient.session._set_state(SessionState.CLOSED)  # so that nothing asks the server to end it
    await close(client)


async def close(client: Client) -> None:
    """Close session, channel and socket, within seconds whatever state they are in."""
    # A session that can't be closed any more times out on the server, soon because it asked for a short time.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.disconnect(), 3.0)
    if client.uaclient.protocol is not None and client.uaclient.protocol.transport is not None:
        client.uaclient.protocol.transport.abort()


def describe(error: BaseException) -> str:
    """An exception of the client in a line that says something, which some of its own don't."""
    if isinstance(error, ConnectError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "the server doesn't answer"
    if isinstance(error, ua.UaStatusCodeError):
        return f"{ua.StatusCode(error.code).name}: {ua.StatusCode(error.code).doc}"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _failure(error: Exception, server: Server, pki: Pki) -> str:
    """What happened while connecting, and what to do about it."""
    if isinstance(error, ua.UaStatusCodeError):
        name = ua.StatusCode(error.code).name
        return f"{name}: {_advice(name, server, pki)}"
    if isinstance(error, socket.gaierror):
        return "no such host; check the url in plant.yml, and this machine's name server"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; start the server, or check the port of the url in plant.yml"
    if isinstance(error, TimeoutError):
        return "no answer; check the address, that the server runs, and the firewall between"
    # asyncua asserts that a channel was opened; many servers close the socket on a certificate that they don't know.
    if server.secure and isinstance(error, AssertionError | ConnectionError):
        return (
            f"the server closed the channel and doesn't say why; most likely {_untrusted(pki)}; if it is there already,"
            " look at the server's log and at both clocks"
        )
    if isinstance(error, OSError):
        return f"{error.strerror or describe(error)}; check the url in plant.yml, the network and the firewall between"
    return f"{describe(error)}; check the url and the security settings in plant.yml"


def _advice(status: str, server: Server, pki: Pki) -> str:
    if status in ("BadCertificateUntrusted", "BadSecurityChecksFailed", "BadCertificateInvalid"):
        return _untrusted(pki)
    if status in ("BadCertificateTimeInvalid", "BadCertificateIssuerTimeInvalid", "BadInvalidTimestamp"):
        return "the clocks of server and collector disagree, or a certificate has run out; set the clocks right first"
    if status == "BadCertificateUriInvalid":
        return (
            f"the application URI isn't the certificate's; if {pki.folder / 'own'} holds a certificate of your own, it"
            " must name its application URI as a subjectAltName of type URI"
        )
    if status in ("BadIdentityTokenRejected", "BadIdentityTokenInvalid", "BadUserAccessDenied"):
        if server.user_certificate:
            return (
                f"the server doesn't know the user's certificate; put {pki.path(server.user_certificate)} into the"
                " server's folder of trusted user certificates and map it to a user there"
            )
        if server.username:
            return f"the server refuses user {server.username!r}; check the password, and that the user may connect"
        return "the server doesn't take anonymous clients; set username or user_certificate in plant.yml"
    if status in ("BadSecurityPolicyRejected", "BadSecurityModeRejected", "BadSecurityModeInsufficient"):
        return (
            f"the server doesn't take {server.security_policy}; set security_policy in plant.yml to one that it offers"
        )
    if status in ("BadTooManySessions", "BadMaxConnectionsReached", "BadTcpServerTooBusy", "BadTcpNotEnoughResources"):
        return "the server has no session left; close other clients, or raise its limit"
    if status in ("BadTcpEndpointUrlInvalid", "BadServerUriInvalid", "BadServiceUnsupported"):
        return "the server knows no endpoint of this url; check its path in plant.yml"
    return f"{ua.StatusCode(getattr(ua.StatusCodes, status, ua.StatusCodes.Bad)).doc}; see the server's own log"


def _untrusted(pki: Pki) -> str:
    own = pki.own(datetime.now(UTC))
    return (
        f"it doesn't trust this collector's certificate (SHA-256 {own.fingerprint}); on the server, move it from the"
        " folder of rejected certificates (often pki/rejected) to that of trusted clients (often pki/trusted/certs), or"
        f" copy {own.certificate} there"
    )


def _channel(policy: str, mode: str) -> str:
    return policy if policy == "None" else f"{policy} with {mode}"


def _offer(endpoint: ua.EndpointDescription) -> str:
    policy = _POLICIES.get(endpoint.SecurityPolicyUri) or str(endpoint.SecurityPolicyUri).rpartition("#")[2]
    return _channel(policy, endpoint.SecurityMode.name)


def _password(name: str, server: Server) -> str:
    """The user's password; it is in no file of the project. Raises ConnectError where its variable isn't set."""
    if server.password_env is None:
        return ""
    password = os.environ.get(server.password_env)
    if password is None:
        raise ConnectError(
            f"the environment variable {server.password_env} isn't set, where servers.{name}.password_env of plant.yml"
            " says that the password is"
        )
    return password
