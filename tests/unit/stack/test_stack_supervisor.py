"""Nothing is left behind, whatever ends first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from stack.errors import StackError
from stack.supervisor import Supervisor, memory_mb, procfile
from warehouse.settings import HOME

# A parent that starts a child in another session, as Airflow's supervisors and Postgres do, and ignores SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


SAYS_WHEN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print(time.time(), flush=True), sys.exit(0)))
print("up", flush=True)
time.sleep(600)
"""


def supervisor(folder: Path, **commands: str) -> Supervisor:
    return Supervisor(commands, {}, folder)


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return f"{sys.executable} {path}"


def wait_for_line(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"nothing in {path}"
        time.sleep(0.02)
    return path.read_text()


def test_what_ignores_sigterm_is_killed_with_what_it_started(tmp_path: Path) -> None:
    stack = supervisor(tmp_path, stubborn=script(tmp_path, STUBBORN))
    stack.start("stubborn")
    child = psutil.Process(int(wait_for_line(stack.log("stubborn"))))
    stack.check()
    stack.stop(grace=0.3)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not stack.running


def test_a_process_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    stack = supervisor(tmp_path, good="sleep 60", bad="sh -c 'echo no such plant; exit 3'")
    stack.start("good", "bad")
    stack.running["bad"].wait()
    with pytest.raises(StackError, match=r"(?s)bad ended with code 3.*no such plant"):
        stack.check()
    good = stack.running["good"]
    stack.stop()
    assert good.poll() is not None


def test_a_killed_process_says_by_what(tmp_path: Path) -> None:
    stack = supervisor(tmp_path, ingest="sleep 60")
    stack.start("ingest")
    os.kill(stack.running["ingest"].pid, signal.SIGKILL)
    stack.running["ingest"].wait()
    with pytest.raises(StackError, match="ingest was killed by SIGKILL"):
        stack.check()
    stack.stop()


def test_what_had_run_for_a_while_is_started_again_with_its_workers_gone(tmp_path: Path) -> None:
    stack = supervisor(tmp_path, mlflow="sh -c 'sleep 600 & echo $!; wait'", postgres="sleep 600")
    stack.start("mlflow", "postgres")
    first, worker = stack.running["mlflow"], psutil.Process(int(wait_for_line(stack.log("mlflow"))))
    assert stack.check(settled=0) == [], "it runs"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with pytest.raises(StackError, match="mlflow was killed by SIGKILL"):
        stack.check(settled=600)
    told = f"mlflow was killed by SIGKILL and is started again; its log is {stack.log('mlflow')}"
    assert stack.check(settled=0) == [told]
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() and stack.running["mlflow"].pid != first.pid
    assert stack.check(settled=0) == []
    stack.running["postgres"].kill()
    stack.running["postgres"].wait()
    with pytest.raises(StackError, match="postgres was killed"):
        stack.check(settled=0)
    stack.stop()


def test_postgres_is_stopped_last(tmp_path: Path) -> None:
    note = script(tmp_path, SAYS_WHEN)
    stack = supervisor(tmp_path, postgres=note, ingest=note, mlflow=note)
    stack.start("postgres", "ingest", "mlflow")
    for name in ("postgres", "ingest", "mlflow"):
        wait_for_line(stack.log(name))
    stack.stop()
    ended = {name: float(stack.log(name).read_text().splitlines()[-1]) for name in ("postgres", "ingest", "mlflow")}
    assert ended["ingest"] < ended["mlflow"] < ended["postgres"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from stack.supervisor import Supervisor
        stack = Supervisor({{"sleeper": "sleep 600"}}, {{}}, Path({str(tmp_path)!r}))
        stack.start("sleeper")
        print(stack.running["sleeper"].pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=HOME, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        stack = supervisor(tmp_path, says=script(tmp_path, SAYS_WHEN))
        stack.start("says")
        wait_for_line(stack.log("says"))
        stack.check()
        stack.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_memory_counts_this_process() -> None:
    assert 5 < memory_mb([psutil.Process()]) < 5_000


def test_the_procfile_names_what_runs() -> None:
    assert list(procfile()) == [
        "postgres", "plant", "ingest", "mlflow",
        "airflow-api-server", "airflow-dag-processor", "airflow-scheduler", "pruner",
    ]  # fmt: skip
