"""The compared servers: Scriptorium on two servers, two libraries, and plain asyncio."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from benchmarks import processes
from benchmarks.database import Database
from benchmarks.environments import ROOT, pinned, python_of, requirements

START_SECONDS = 60.0
POLL_SECONDS = 0.05

UNLIMITED = {"STREAMS_PER_USER": "100000"}  # all clients belong to one user
STREAM_PATH = "/api/v1/executions/{}/stream"
_UVICORN = ("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{}")
_FAST = ("--loop", "uvloop", "--http", "httptools")
_PLAIN = ("--loop", "asyncio", "--http", "h11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of Server-Sent Events. `{}` is the port in the command, and the execution in the path."""

    key: str
    title: str
    command: tuple[str, ...]
    path: str = "/stream/{}"
    fed_by: str = "notify"  # how it receives events, see `benchmarks.systems.events.writer`
    environment: str | None = None  # name of its virtual environment; None: that of the product
    versions: tuple[str, ...] = ()  # packages whose versions are part of the title
    settings: Mapping[str, str] = field(default_factory=dict)
    max_clients: int = sys.maxsize

    @property
    def shown(self) -> str:
        """Title with the measured versions."""
        pins = ROOT / "requirements.txt" if self.environment is None else requirements(self.environment)
        return self.title.format(*(pinned(pins, package) for package in self.versions))

    @property
    def python(self) -> Path | str:
        """The interpreter; its environment is created if it is missing."""
        return sys.executable if self.environment is None else python_of(self.environment)


SERVERS = (
    Server(
        key="daphne",
        title="**Scriptorium on daphne** (`manage.py serve`)",
        command=("manage.py", "serve", "--no-worker", "--port", "{}"),
        path=STREAM_PATH,
        settings=UNLIMITED,
        fed_by="announce",
    ),
    Server(
        key="uvicorn",
        title="Scriptorium on uvicorn {}",
        command=(*_UVICORN, *_PLAIN, "orchestrator.asgi:application"),
        path=STREAM_PATH,
        settings=UNLIMITED,
        fed_by="announce",
        environment="uvicorn",
        versions=("uvicorn",),
    ),
    Server(
        key="uvloop",
        title="Scriptorium on uvicorn {} with uvloop and httptools",
        command=(*_UVICORN, *_FAST, "orchestrator.asgi:application"),
        path=STREAM_PATH,
        settings=UNLIMITED,
        fed_by="announce",
        environment="uvicorn",
        versions=("uvicorn",),
    ),
    Server(
        key="sse",
        title="sse-starlette {} on uvicorn {}",
        command=(*_UVICORN, *_PLAIN, "benchmarks.peers.sse_server:application"),
        environment="sse",
        versions=("sse-starlette", "uvicorn"),
    ),
    Server(
        key="sse-uvloop",
        title="sse-starlette {} on uvicorn {} with uvloop and httptools",
        command=(*_UVICORN, *_FAST, "benchmarks.peers.sse_server:application"),
        environment="sse",
        versions=("sse-starlette", "uvicorn"),
    ),
    Server(
        key="stock",
        title="django-eventstream {}, its own `stream()`, on daphne {}, nothing stored",
        command=("-m", "daphne", "-v", "0", "-p", "{}", "benchmarks.peers.stock_project:application"),
        path="/stream/{}/",
        versions=("django-eventstream", "daphne"),
    ),
    Server(
        key="stored",
        title="django-eventstream {}, its own `stream()`, on daphne {}, with its own table of events",
        command=("-m", "daphne", "-v", "0", "-p", "{}", "benchmarks.peers.stock_project:application"),
        path="/stream/{}/",
        versions=("django-eventstream", "daphne"),
        settings={"STORED": "1"},
        max_clients=50,  # it holds a connection per client, and PostgreSQL permits 100
    ),
    Server(
        key="bare", title="plain asyncio, one write per event", command=("-m", "benchmarks.peers.bare_server", "{}")
    ),
)
BY_KEY = {server.key: server for server in SERVERS}


def servers_of(keys: Sequence[str]) -> list[Server]:
    """Return the servers with these keys."""
    return [BY_KEY[key] for key in keys]


@contextmanager
def start_server(server: Server, target: Database, port: int) -> Iterator[Popen[str]]:
    """Start a server on a database, without waiting until it is ready."""
    command = [word.format(port) for word in server.command]
    with processes.running(*command, target=target, python=server.python, **server.settings) as process:
        yield process


def wait_until_ready(process: Popen[str], port: int) -> None:
    """Wait until a server accepts connections."""
    deadline = time.monotonic() + START_SECONDS
    while not _accepts(port):
        assert process.poll() is None, f"{process.args!r} has ended; see processes.log in the data directory"
        assert time.monotonic() < deadline, f"{process.args!r} did not start"
        time.sleep(POLL_SECONDS)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
