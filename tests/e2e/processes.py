"""Real processes for tests: started as a user starts them, stopped by pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from orchestrator.web.loop_monitor import OWN_FAULT
from tests.support.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = STOP_SECONDS = HANG_SECONDS
PASSWORD = "a-long-Passphrase"  # of everybody
SERVERS = ("daphne", "uvicorn")  # which run our ASGI application
#: The same, for a test that runs on uvicorn in `make test-all` alone; `test_stream.py` does in `make test`.
ON_EITHER = [SERVERS[0], pytest.param(SERVERS[1], marks=pytest.mark.torture)]
CLOSED_BRIEF = (  # nothing in it is left open
    "# Tool library\n\nThe city lends 400 tools from 3 branches. The budget is 20,000 EUR, decided by Ms Ode."
)


def free_port() -> int:
    """Return a TCP port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(check: Callable[[], Any], *, seconds: float = START_SECONDS, what: str = "it") -> Any:
    """Return the first true answer of `check`; fail after `seconds`. It is asked ever more rarely, as it costs CPU."""
    deadline, pause = time.monotonic() + seconds, 0.05
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(pause)
        pause = min(pause * 1.2, 0.3)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@dataclass
class Machine:
    """One installation: its own data directory and port, and the processes started on it."""

    data_dir: Path
    server: str = os.environ.get("E2E_SERVER", "daphne")  # ours, of `manage.py serve`; or "uvicorn"
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.port}"

    def _env(self, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "DJANGO_SETTINGS_MODULE", "LOCAL"}
            and not name.endswith(("_API_KEY", "_BASE_URL"))
        }
        return {
            **kept,
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "POSTGRES_FSYNC": "0",
            "PYTHONUNBUFFERED": "1",
            "SHUTDOWN_GRACE_SECONDS": "2",  # a model that is still writing at the end of a test is not waited for
            **self.environment,
            **extra,
        }

    def manage(self, *arguments: str, stdin: str = "", **extra: str) -> str:
        """Run a management command to its end and return what it printed."""
        return self._run(["manage.py", *arguments], stdin=stdin, **extra)

    def _run(self, words: list[str], *, stdin: str = "", **extra: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self._env(extra),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start a management command in the background."""
        return self._start(["manage.py", *arguments], name=arguments[0], **extra)

    def start_web(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start the web process in the background (and a worker, in it or beside it, unless told otherwise)."""
        if self.server == "daphne":
            return self.start("serve", *arguments, **extra)
        if "--no-worker" not in arguments:
            self.start("worker", **extra)
        words = f"-m uvicorn orchestrator.asgi:application --port {self.port} --timeout-graceful-shutdown 20".split()
        return self._start(words, name=self.server, **extra)

    def _start(self, words: list[str], *, name: str, **extra: str) -> subprocess.Popen[bytes]:
        log = self.data_dir / f"{name}-{self.port}-{len(self.processes)}.log"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=self._env(extra),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def serve(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start the web process (and a worker, unless told otherwise) and wait until it answers."""
        if self.server != "daphne":
            self.prepare()
        process = self.start_web(*arguments, **extra)
        self.wait_for(process)
        return process

    def prepare(self) -> None:
        """Do by hand, once, what `manage.py serve` does by itself."""
        done = self.data_dir / "prepared"
        if not done.exists():
            self.manage("migrate", "--verbosity", "0")
            self.manage("load_catalog")
            done.touch()

    def make_people(self) -> None:
        """Make the users of these tests at once, as `token` makes one, and a session for each."""
        for name, (token, session) in json.loads(self._run(["-m", "tests.e2e.users"])).items():
            (self.data_dir / f"{name}.token").write_text(token, encoding="ascii")
            (self.data_dir / f"{name}.session").write_text(session, encoding="ascii")

    def token(self, name: str) -> str:
        """Return the token of a user, who can also log in with `PASSWORD`; the user is made when missing."""
        issued = self.data_dir / f"{name}.token"
        if not issued.exists():
            token = self.manage("issue_token", name, "--password-stdin", stdin=f"{PASSWORD}\n").strip()
            issued.write_text(token, encoding="ascii")
        return issued.read_text(encoding="ascii")

    def session(self, name: str) -> str:
        """Return the key of the session that a user of `users.NAMES` has from the beginning."""
        return (self.data_dir / f"{name}.session").read_text(encoding="ascii")

    def wait_for(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the web process answers."""

        def answers() -> bool:
            assert process.poll() is None, self.logs()
            try:
                return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, what="the server's answer")

    def exit_code(self, number: signal.Signals) -> int:
        """Return with which code a web process ends in good order: uvicorn dies of SIGTERM when all is done."""
        return -number if self.server == "uvicorn" and number == signal.SIGTERM else 0

    def client(self, name: str = "alice") -> httpx.Client:
        """Return an HTTP client with the user's token."""
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=START_SECONDS)

    def logs(self) -> str:
        """Return the end of everything the processes wrote."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-4000:]}" for path in self.data_dir.glob("*.log"))

    def stop(self) -> None:
        """End all processes started here: politely, then for good."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def standstills(self) -> list[str]:
        """Return what the processes logged of an event loop that stood still by the fault of their own code."""
        lines = (line for path in self.data_dir.glob("*.log") for line in path.read_text().splitlines())
        return [line for line in lines if OWN_FAULT in line]


def copy_of(data_dir: Path, folder: Path) -> Path:
    """Return a copy, in a folder, of a data directory that no process uses."""
    subprocess.run(["cp", "-a", data_dir, folder / "data"], check=True)  # as root, another user owns the database
    return folder / "data"


@contextmanager
def machine(data_dir: Path, *, server: str = Machine.server, **environment: str) -> Iterator[Machine]:
    """Provide an installation of its own and end its processes afterwards."""
    installed = Machine(data_dir, server=server, environment=environment)
    try:
        yield installed
    finally:
        installed.stop()
    found = installed.standstills()
    assert not found, "\n".join(found)


def start_execution(
    client: httpx.Client, brief: str, *, workflow_id: str = "strategy-document", key: str = "p1"
) -> str:
    """Start an execution over HTTP and return its id."""
    body = {"workflow_id": workflow_id, "scope_type": "project", "scope_id": key, "input": brief}
    response = client.post("/executions/", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["execution_id"])


def stream(
    client: httpx.Client, execution_id: str, *, after: int | None = None
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield (id, event, data) of an execution's stream until it ends by itself."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with connect_sse(client, "GET", f"/executions/{execution_id}/stream", headers=headers) as source:
        assert source.response.status_code == 200, source.response.read()
        for event in source.iter_sse():
            if event.data and event.event != "step_delta":  # else: how long to wait, or text as it is written
                yield int(event.id), event.event, event.json()


def wait_for_status(
    client: httpx.Client, execution_id: str, *statuses: str, seconds: float = HANG_SECONDS
) -> dict[str, Any]:
    """Wait until the execution has one of the statuses and return it."""

    def reached() -> dict[str, Any] | None:
        details: dict[str, Any] = client.get(f"/executions/{execution_id}").json()
        return details if details["status"] in statuses else None

    found: dict[str, Any] = wait_until(reached, seconds=seconds, what=f"one of {statuses}")
    return found
