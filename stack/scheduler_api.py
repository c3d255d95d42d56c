"""Airflow's REST API, as far as the smoke run needs it: start a DAG, ask how its run goes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stack.environment import ADMIN, airflow_secrets
from stack.errors import StackError
from warehouse.settings import Settings

# This machine's own address goes past whatever proxy the shell has set.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Run:
    """A DAG run; `seconds` from its start to its end, None while it lasts."""

    dag_id: str
    run_id: str
    state: str
    seconds: float | None


class SchedulerApi:
    """A logged-in client; every method raises StackError with what the server said when it refuses."""

    def __init__(self, settings: Settings) -> None:
        self._root = f"http://127.0.0.1:{settings.airflow_port}"
        login = {"username": ADMIN, "password": airflow_secrets(settings)["admin_password"]}
        self._token = self._call("POST", "/auth/token", login)["access_token"]

    def start(self, dag_id: str) -> Run:
        """Start a run by hand, now."""
        return _run(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None}))

    def look(self, run: Run) -> Run:
        """The run as it is now."""
        return _run(self._call("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}"))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "_token"):
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, headers, method=method)
        try:
            with _OPENER.open(request, timeout=30) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise StackError(f"Airflow refused {method} {path}: {error.code} {said}") from error
        except OSError as error:
            raise StackError(f"Airflow doesn't answer at {self._root}: {error}") from error


def _run(answer: dict[str, Any]) -> Run:
    started, ended = answer["start_date"], answer["end_date"]
    seconds = None
    if started and ended:
        seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    return Run(answer["dag_id"], answer["dag_run_id"], answer["state"], seconds)
