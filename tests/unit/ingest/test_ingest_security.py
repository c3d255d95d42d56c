import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ingest.errors import ConnectError
from ingest.opcua.security import Pki, fingerprint, load_certificate, load_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_first_use_makes_a_certificate_and_the_next_finds_it(tmp_path: Path) -> None:
    first = Pki(tmp_path / "pki").own(NOW)
    assert Pki(tmp_path / "pki").own(NOW + timedelta(days=365)) == first
    made = load_certificate(first.certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [first.application_uri]
    assert made.not_valid_before_utc < NOW < NOW + timedelta(days=9 * 365) < made.not_valid_after_utc
    assert load_key(first.key).public_key() == made.public_key()
    assert first.fingerprint == fingerprint(made) and len(first.fingerprint) == 32 * 3 - 1


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    own = Pki(tmp_path / "pki").own(NOW)
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.key.parent.stat().st_mode) == 0o700


def test_workers_that_start_together_make_one_pair(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, datetime; from ingest.opcua.security import Pki;"
        "print(Pki(pathlib.Path(sys.argv[1])).own(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "pki")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {worker.communicate(timeout=60)[0].strip() for worker in workers}
    own = Pki(tmp_path / "pki").own(NOW)
    assert said == {own.fingerprint}
    assert load_key(own.key).public_key() == load_certificate(own.certificate).public_key()


def test_a_certificate_past_its_time_says_what_to_remove(tmp_path: Path) -> None:
    own = Pki(tmp_path / "pki").own(NOW)
    with pytest.raises(ConnectError, match=r"certificate.der: not valid since 2036-\d\d-\d\d; remove it and key.pem"):
        Pki(tmp_path / "pki").own(NOW + timedelta(days=3653))
    assert own.certificate.exists()


def test_the_first_certificate_of_a_server_is_pinned_and_no_other_admitted(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    one = load_certificate(Pki(tmp_path / "one").own(NOW).certificate)
    other = load_certificate(Pki(tmp_path / "other").own(NOW).certificate)
    pki.admit("main", one, "first-use")
    pki.admit("main", one, "first-use")
    pki.admit("second", other, "first-use")
    with pytest.raises(ConnectError) as caught:
        pki.admit("main", other, "first-use")
    message = str(caught.value)
    assert f"pinned is SHA-256 {fingerprint(one)}" in message and f"shown is SHA-256 {fingerprint(other)}" in message
    assert str(tmp_path / "pki" / "pinned" / "main.der") in message


def test_what_is_listed_is_admitted_whatever_is_pinned(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    one = load_certificate(Pki(tmp_path / "one").own(NOW).certificate)
    other = load_certificate(Pki(tmp_path / "other").own(NOW).certificate)
    pki.admit("main", one, "first-use")
    with pytest.raises(ConnectError, match=f"not listed: SHA-256 {fingerprint(other)}"):
        pki.admit("main", other, "listed")
    (tmp_path / "pki" / "trusted").mkdir()
    (tmp_path / "pki" / "trusted" / "other.pem").write_bytes(other.public_bytes(serialization.Encoding.PEM))
    pki.admit("main", other, "listed")
    pki.admit("main", other, "first-use")
    with pytest.raises(ConnectError, match="not listed"):
        pki.admit("main", one, "listed")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't be read: No such file or directory"),
        (b"nonsense", "must be a certificate in DER or PEM"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense", "must be a certificate in DER or PEM"),
    ],
)
def test_a_certificate_that_is_none_is_one_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "server.der"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConnectError, match=says) as caught:
        load_certificate(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_key_with_a_passphrase_is_refused_with_the_reason(tmp_path: Path) -> None:
    key = load_key(Pki(tmp_path / "pki").own(NOW).key)
    path = tmp_path / "locked.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConnectError, match="without a passphrase"):
        load_key(path)


def test_the_fingerprint_is_the_one_that_servers_print(tmp_path: Path) -> None:
    made = load_certificate(Pki(tmp_path / "pki").own(NOW).certificate)
    assert bytes.fromhex(fingerprint(made).replace(":", "")) == made.fingerprint(hashes.SHA256())


def test_a_folder_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("a file where the folder should be")
    with pytest.raises(ConnectError, match=r"pki: can't be written: File exists; certificates are kept there"):
        Pki(tmp_path / "pki").own(NOW)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    own, other = Pki(tmp_path / "pki").own(NOW), Pki(tmp_path / "other").own(NOW)
    own.key.write_bytes(other.key.read_bytes())
    with pytest.raises(ConnectError, match=r"key.pem: must be the key of certificate.der; put the pair there"):
        Pki(tmp_path / "pki").own(NOW)
    own.key.unlink()
    with pytest.raises(ConnectError, match=r"key.pem: can't be read: No such file"):
        Pki(tmp_path / "pki").own(NOW)
