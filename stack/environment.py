"""The environment that every process of the Procfile runs in.

`python -m stack env` prints it, so that any line of the Procfile can be run by hand.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

from warehouse.roles import Role, url, write_private
from warehouse.settings import HOME, Settings

ADMIN = "admin"


def airflow_secrets(settings: Settings) -> dict[str, str]:
    """Airflow's keys and the UI's password, generated once into `var/airflow/secrets.json` (mode 0600)."""
    path = settings.var / "airflow" / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if not known:
        known = {
            # Fernet wants 32 bytes in URL-safe base64, padded.
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(48),
            "api_secret_key": secrets.token_urlsafe(48),
            "admin_password": secrets.token_urlsafe(12),
        }
        write_private(path, json.dumps(known, indent=2) + "\n")
    return known


def _passwords_file(settings: Settings, password: str) -> Path:
    # SimpleAuthManager reads user -> password from a file; given one, it generates (and prints) none of its own.
    path = settings.var / "airflow" / "ui_passwords.json"
    wanted = json.dumps({ADMIN: password}) + "\n"
    if not path.exists() or path.read_text() != wanted:
        write_private(path, wanted)
    return path


def airflow(settings: Settings) -> dict[str, str]:
    """Airflow's settings as environment variables: metadata in Postgres, one small machine, a run every minute."""
    secret = airflow_secrets(settings)
    home = settings.var / "airflow"
    address = f"http://127.0.0.1:{settings.airflow_port}"
    options = {
        "CORE__DAGS_FOLDER": str(HOME / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        # One slot each for the minute, the feedback, a training and a daily run.
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DEFAULT_TIMEZONE": "utc",
        "CORE__FERNET_KEY": secret["fernet_key"],
        "CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(settings, secret["admin_password"])),
        # Tasks are forked from the scheduler, which has imported what they need (stack/scheduler.py).
        "CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "False",
        "CORE__MP_START_METHOD": "fork",
        "CORE__LAZY_LOAD_PLUGINS": "True",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "10",
        "DATABASE__SQL_ALCHEMY_CONN": url(settings, Role.AIRFLOW, "airflow", driver="psycopg2"),
        # Airflow would derive an asyncpg address, one more driver; psycopg does both.
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": url(settings, Role.AIRFLOW, "airflow", driver="psycopg_async"),
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "API__HOST": settings.bind,
        "API__PORT": str(settings.airflow_port),
        "API__BASE_URL": address,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secret["api_secret_key"],
        "API__INSTANCE_NAME": "Millwright",
        "API_AUTH__JWT_SECRET": secret["jwt_secret"],
        "API_AUTH__JWT_ISSUER": "millwright",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "SCHEDULER__CATCHUP_BY_DEFAULT": "False",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        # A minute's log of a healthy run is a few lines; the library's own chatter is not what one looks for.
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {"AIRFLOW_HOME": str(home), **{f"AIRFLOW__{key}": value for key, value in options.items()}}


def mlflow(settings: Settings) -> dict[str, str]:
    """MLflow's server: metadata in Postgres, artifacts under `var/`, only this machine's names in the Host header."""
    hosts = ["localhost", "127.0.0.1", settings.bind]
    return {
        "MLFLOW_BACKEND_STORE_URI": url(settings, Role.MLFLOW, "mlflow", driver="psycopg2"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(settings.var / "mlflow" / "artifacts"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{host}:{settings.mlflow_port}" for host in dict.fromkeys(hosts)),
        # Its task queue serves features that are not used here and costs a process or two.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def environment(settings: Settings) -> dict[str, str]:
    """What is added to `os.environ` for every process: addresses, folders, and each tool's settings."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        # Tasks and Airflow's own processes import the project's folders whatever their working directory.
        "PYTHONPATH": str(HOME),
        "PYTHONUNBUFFERED": "1",
        "MILLWRIGHT_VAR": str(settings.var),
        "MILLWRIGHT_PLANT": str(settings.plant),
        "MILLWRIGHT_BIND": settings.bind,
        "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
        "MILLWRIGHT_AIRFLOW_PORT": str(settings.airflow_port),
        "MILLWRIGHT_MLFLOW_PORT": str(settings.mlflow_port),
        "MILLWRIGHT_OPCUA_PORT": str(settings.opcua_port),
        "MILLWRIGHT_METRICS_PORT": str(settings.metrics_port),
        # Nothing here talks to anything but this machine, whatever proxy the shell has set.
        "no_proxy": "127.0.0.1,localhost",
        "NO_PROXY": "127.0.0.1,localhost",
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "GX_ANALYTICS_ENABLED": "false",
        # Two cores: a BLAS pool in each of a dozen processes would only fight for them.
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        **airflow(settings),
        **mlflow(settings),
    }
