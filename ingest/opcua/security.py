"""Certificates under `var/pki`: the collector's own, made on first use, and those of the servers that it knows."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ingest.errors import ConnectError

# What every policy and every PLC takes; more bits are refused by some.
_KEY_BITS: Final = 2048
# A certificate that ends stops the plant's data on a day that nobody remembers.
_YEARS: Final = 10
# A server whose clock is behind would find a certificate of this minute not valid yet.
_BACKDATED: Final = timedelta(days=1)

Trust = Literal["first-use", "listed"]


@dataclass(frozen=True)
class OwnCertificate:
    """The collector's certificate and key, and the application URI that the certificate names."""

    certificate: Path
    key: Path
    application_uri: str
    fingerprint: str


class Pki:
    """The folder of certificates.

    `own/certificate.der` is what servers have to trust; `own/key.pem` is readable by its owner alone. `pinned/` holds
    a server's certificate from its first connection on, `trusted/` what the plant's people have put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, moment: datetime) -> None:
        """Make the collector's certificate where there is none, so that servers can be told to trust it beforehand."""
        certificate, key = self._own
        if certificate.exists():  # also where the folder is for reading only
            return
        with self._locked():
            if not certificate.exists():
                _make(certificate, key, moment)

    def own(self, moment: datetime) -> OwnCertificate:
        """The collector's certificate, made where there is none.

        Raises ConnectError where the pair is unreadable, none, without an application URI or past its time at `moment`.
        """
        self.make(moment)
        certificate, key = self._own
        made = load_certificate(certificate)
        if made.not_valid_after_utc < moment:
            raise ConnectError(
                f"{certificate}: not valid since {made.not_valid_after_utc:%Y-%m-%d}; remove it and {key.name}, and"
                " the next start makes a new one, which the servers have to trust anew"
            )
        if load_key(key).public_key() != made.public_key():
            raise ConnectError(f"{key}: must be the key of {certificate.name}; put the pair there, or remove both")
        uris = _alternative_names(made).get_values_for_type(x509.UniformResourceIdentifier)
        if not uris:
            raise ConnectError(
                f"{certificate}: names no application URI (a subjectAltName of type URI); servers ask for it"
            )
        return OwnCertificate(certificate, key, uris[0], fingerprint(made))

    def admit(self, server: str, certificate: x509.Certificate, trust: Trust) -> None:
        """Let `server` show this certificate: it is listed, or pinned, or the first one of a server and pinned now.

        Raises ConnectError, with both fingerprints, where another is pinned, and where `trust` asks for a listed one.
        """
        shown = fingerprint(certificate)
        if shown in self._listed():
            return
        trusted = self.folder / "trusted"
        if trust == "listed":
            raise ConnectError(
                f"it shows a certificate that is not listed: SHA-256 {shown}, {_subject(certificate)};"
                f" if the server's own configuration shows the same fingerprint, put the certificate into {trusted}"
            )
        pin = self.folder / "pinned" / f"{server}.der"
        if not pin.exists():
            with self._locked():
                if not pin.exists():
                    _write(pin, certificate.public_bytes(serialization.Encoding.DER), 0o644)
        known = fingerprint(load_certificate(pin))
        if known != shown:
            raise ConnectError(
                f"it shows another certificate than before: pinned is SHA-256 {known}, shown is SHA-256"
                f" {shown}, {_subject(certificate)}; if it was renewed on purpose, remove {pin} and the next connection"
                " pins the new one; if not, someone else answers at this address"
            )

    @property
    def _own(self) -> tuple[Path, Path]:
        return self.folder / "own" / "certificate.der", self.folder / "own" / "key.pem"

    def path(self, given: Path) -> Path:
        """A path of plant.yml: relative ones are relative to this folder."""
        return self.folder / given.expanduser()

    def _listed(self) -> set[str]:
        folder = self.folder / "trusted"
        found = sorted(p for p in folder.glob("*") if p.suffix in (".der", ".pem", ".crt", ".cer"))
        return {fingerprint(load_certificate(path)) for path in found}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time: workers may start together, and the key of one with the certificate of another is no pair."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self.folder / ".lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            place = error.filename or self.folder
            raise ConnectError(f"{place}: can't be written: {error.strerror}; certificates are kept there") from error


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as servers and browsers print it: AB:CD:…"""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def load_certificate(path: Path) -> x509.Certificate:
    """A certificate in PEM or DER, whatever its file is called. Raises ConnectError, one line."""
    content = _read(path)
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError as error:
        raise ConnectError(f"{path}: must be a certificate in DER or PEM. Got: {str(error).splitlines()[0]}") from error


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """An RSA private key without a passphrase, in PEM or DER. Raises ConnectError, one line."""
    content = _read(path)
    try:
        if b"-----BEGIN" in content:
            key = serialization.load_pem_private_key(content, None)
        else:
            key = serialization.load_der_private_key(content, None)
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        reason = str(error).splitlines()[0]
        raise ConnectError(
            f"{path}: must be a private key in PEM or DER without a passphrase. Got: {reason}"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConnectError(f"{path}: must be an RSA key. Got: {type(key).__name__}")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConnectError(f"{path}: can't be read: {error.strerror}") from error


def _make(certificate: Path, key: Path, moment: datetime) -> None:
    host = socket.gethostname()
    private = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Millwright ingest on {host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Millwright"),
        ]
    )
    names = [x509.UniformResourceIdentifier(f"urn:{host}:millwright:ingest"), x509.DNSName(host)]
    own_key = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    # The extensions that OPC 10000-6 6.2.2 asks of an application instance certificate.
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _BACKDATED)
        .not_valid_after(moment + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
                key_cert_sign=True, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(own_key, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_key), critical=False)
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The certificate last: where it is, its key is too.
    _write(key, pem, 0o600)
    _write(certificate, made.public_bytes(serialization.Encoding.DER), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never for a moment readable by more than `mode` says."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _subject(certificate: x509.Certificate) -> str:
    return f"of {certificate.subject.rfc4514_string() or 'no name'}"
