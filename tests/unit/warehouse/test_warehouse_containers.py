"""docker-compose.yml runs what the Procfile runs, and opens nothing to the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse.roles import Role

HOME = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((HOME / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROCFILE = dict(line.split(": ", 1) for line in (HOME / "Procfile").read_text().splitlines() if ": " in line)


def test_every_process_of_the_procfile_is_a_service_with_the_same_command() -> None:
    assert len(PROCFILE) >= 8
    for name, command in PROCFILE.items():
        if name == "postgres":
            assert SERVICES["postgres"]["image"] == "postgres:18"
            continue
        assert [part.replace("$$", "$") for part in SERVICES[name]["command"]] == [command], name


def test_every_process_waits_for_prepare() -> None:
    for name in PROCFILE.keys() - {"postgres"}:
        assert SERVICES[name]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}, name
    assert SERVICES["prepare"]["restart"] == "no"
    assert SERVICES["prepare"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_nothing_is_published_but_the_uis_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"network", "metabase"}
    ports = [port for ports in published.values() for port in ports]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert sorted(port.rpartition(":")[2] for port in ports) == ["3000", "5000", "8080"]


def test_secrets_come_from_the_environment_and_must_be_there() -> None:
    secrets = COMPOSE["x-secrets"]
    assert secrets.keys() == {"PGPASSWORD"} | {
        f"MILLWRIGHT_PASSWORD_{role.name}" for role in Role if role != Role.ADMIN
    }
    assert all(re.fullmatch(rf"\$\{{{name}:\?.+\}}", value) for name, value in secrets.items())
    text = (HOME / "docker-compose.yml").read_text()
    assert all("${" in line for line in text.splitlines() if re.search(r"PASSWORD\w*:", line))


def test_the_image_runs_as_an_ordinary_user_from_the_lock() -> None:
    lines = (HOME / "Dockerfile").read_text().splitlines()
    assert "FROM python:3.12-slim" in lines
    assert any("requirements.txt" in line and line.startswith("RUN pip install") for line in lines)
    assert [line for line in lines if line.startswith("USER")] == ["USER millwright"]
    ignored = (HOME / ".dockerignore").read_text().split()
    assert {".git", ".venv", "var", ".env"} <= set(ignored)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose isn't installed")
def test_docker_compose_accepts_the_file() -> None:
    secrets = dict.fromkeys(COMPOSE["x-secrets"], "x")
    command = ["docker-compose", "--file", "docker-compose.yml", "config", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    accepted = subprocess.run(command, cwd=HOME, env=environment | secrets, capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stderr
    refused = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0 and "set it in .env" in refused.stderr
