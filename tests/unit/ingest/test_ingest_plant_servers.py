from typing import Any

import pytest
from pydantic import ValidationError

from ingest.plant import Plant, Server

URL = "opc.tcp://127.0.0.1:4840"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"url": "opc.tcp://operator:s3cret@plc:4840"}, "url must hold no user and no password: say username and"),
        ({"security_policy": "none"}, "'None', 'Basic256Sha256', 'Aes128Sha256RsaOaep' or 'Aes256Sha256RsaPss'"),
        ({"security_policy": "Basic256"}, "'None', 'Basic256Sha256', 'Aes128Sha256RsaOaep' or 'Aes256Sha256RsaPss'"),
        ({"security_mode": "Sign"}, "security_mode needs a security_policy: Basic256Sha256, "),
        ({"security_policy": "Basic256Sha256", "security_mode": "None"}, "'Sign' or 'SignAndEncrypt'"),
        ({"trust": "all"}, "'first-use' or 'listed'"),
        ({"user_certificate": "u.der"}, "user_certificate and user_key are given together"),
        ({"username": "u", "user_certificate": "u.der", "user_key": "u.pem"}, "username or user_certificate, not both"),
        ({"password_env": "P"}, "password_env needs a username"),
    ],
)
def test_what_makes_no_sense_is_answered_with_what_does(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Server.model_validate({"url": URL, **keys})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "secure", "mode", "identified"),
    [
        ({}, False, "None_", False),
        ({"security_policy": "Basic256Sha256"}, True, "SignAndEncrypt", False),
        ({"security_policy": "Basic256Sha256", "security_mode": "Sign", "username": "u"}, True, "Sign", True),
        ({"user_certificate": "u.der", "user_key": "u.pem"}, False, "None_", True),
    ],
)
def test_a_policy_is_encrypted_unless_it_says_otherwise(
    keys: dict[str, Any], secure: bool, mode: str, identified: bool
) -> None:
    server = Server.model_validate({"url": URL, **keys})
    assert (server.secure, server.mode, server.identified) == (secure, mode, identified)


@pytest.mark.parametrize("name", ["../elsewhere", "line/1", ".hidden", "a b", ""])
def test_a_servers_name_is_one_of_a_file(name: str) -> None:
    tag = {"node": "i=2258", "measurement": "clock", "role": "counter", "data_type": "datetime"}
    pump = {"name": "Pump", "type": "pump", "server": name, "tags": [tag]}
    plant = {"plant_id": "P", "name": "P", "timezone": "UTC", "servers": {name: {"url": URL}}, "equipment": {"A": pump}}
    with pytest.raises(ValidationError, match="a server's name must be letters, digits"):
        Plant.model_validate(plant)
