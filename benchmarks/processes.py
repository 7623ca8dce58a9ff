"""Processes of a measurement: workers, a web server, a model server. They are stopped at its end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from benchmarks.database import Database
from benchmarks.environments import DATA_DIR, ROOT
from tests.e2e.processes import free_port

STOP_SECONDS = 60.0
POLL_SECONDS = 0.2

_OPEN = "SELECT count(*) FROM executions_execution WHERE status IN ('pending', 'running')"
_FAILED = "SELECT count(*) FROM executions_execution WHERE status = 'failed'"


@contextmanager
def running(
    *arguments: str, target: Database, python: Path | str = sys.executable, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Provide a process of this Python, or of another one. Its stderr goes to processes.log."""
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    with (DATA_DIR / "processes.log").open("a") as log:
        process = subprocess.Popen(
            [python, *arguments],
            cwd=ROOT,
            env={**target.environment(), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def run(module: str, *arguments: object, target: Database, **settings: str) -> str:
    """Run a module; return its output."""
    command = [sys.executable, "-m", module, *(str(each) for each in arguments)]
    environment = {**target.environment(), **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def worker(target: Database, *, model_seconds: float, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Provide a worker with a model in its process; it waits for `begin_work`."""
    with running("-m", "benchmarks.systems.worker", str(model_seconds), target=target, **settings) as process:
        assert read_line(process) == "ready"
        yield process


def begin_work(process: subprocess.Popen[str]) -> None:
    """Start the work of a waiting worker."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next output line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def web(target: Database, *, user: str) -> Iterator[httpx.Client]:
    """Provide a client of a web process without a worker."""
    port = str(free_port())
    with running("manage.py", "serve", "--no-worker", "--port", port, target=target) as process:
        while not (line := read_line(process)).startswith("ready"):
            assert line or process.poll() is None, "the web server did not start"
        token = target.manage("issue_token", user).strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60) as client:
            yield client


def wait_until_done(target: Database, *, seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
    """Wait until no execution is pending or running; assert that no execution has failed."""
    deadline = time.monotonic() + seconds
    with psycopg.connect(target.url, autocommit=True) as connection:
        while number(connection, _OPEN):
            assert time.monotonic() < deadline, "the executions did not end"
            if meanwhile is None:
                time.sleep(POLL_SECONDS)
            else:
                meanwhile()
        assert not number(connection, _FAILED), "executions failed"


def query_number(target: Database, query: str) -> float:
    """Return the single number of a query."""
    with psycopg.connect(target.url) as connection:
        return number(connection, query)


def number(connection: psycopg.Connection, query: str) -> float:
    """Return the single number of a query."""
    [(found,)] = connection.execute(query.encode()).fetchall()
    return float(found)


def memory_mib(process: subprocess.Popen[str], field: str = "VmHWM") -> float:
    """Return the memory of a process: the peak, or the current value (`VmRSS`)."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"the kernel does not report {field}")


def cpu_of(process: subprocess.Popen[str]) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def threads_of(process: subprocess.Popen[str]) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))
