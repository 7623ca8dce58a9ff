"""What is compared: ours on two servers, two ready-made streams, and what asyncio can do by itself."""

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

UNLIMITED = {"STREAMS_PER_USER": "100000"}  # the clients are all one user's
OURS = "/api/v1/executions/{}/stream"
_UVICORN = ("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{}")
_FAST = ("--loop", "uvloop", "--http", "httptools")
_PLAIN = ("--loop", "asyncio", "--http", "h11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A way to serve streams of Server-Sent Events; `{}` stands for the port, in the path for the execution."""

    key: str
    title: str
    command: tuple[str, ...]
    path: str = "/stream/{}"
    fed_by: str = "notify"  # how it hears of events, see `benchmarks.systems.feed`
    environment: str | None = None  # name of its virtual environment; None: the product's own
    versions: tuple[str, ...] = ()  # packages whose versions belong to the title
    settings: Mapping[str, str] = field(default_factory=dict)
    most_clients: int = sys.maxsize

    @property
    def shown(self) -> str:
        """Its title with the versions that were measured."""
        pins = ROOT / "requirements.txt" if self.environment is None else requirements(self.environment)
        return self.title.format(*(pinned(pins, package) for package in self.versions))

    @property
    def python(self) -> Path | str:
        """Its interpreter; the environment is made where it is missing."""
        return sys.executable if self.environment is None else python_of(self.environment)


SERVERS = (
    Server(
        key="daphne",
        title="**Scriptorium on daphne** (`manage.py serve`)",
        command=("manage.py", "serve", "--no-worker", "--port", "{}"),
        path=OURS,
        settings=UNLIMITED,
        fed_by="announce",
    ),
    Server(
        key="uvicorn",
        title="Scriptorium on uvicorn {}",
        command=(*_UVICORN, *_PLAIN, "orchestrator.asgi:application"),
        path=OURS,
        settings=UNLIMITED,
        fed_by="announce",
        environment="uvicorn",
        versions=("uvicorn",),
    ),
    Server(
        key="uvloop",
        title="Scriptorium on uvicorn {} with uvloop and httptools",
        command=(*_UVICORN, *_FAST, "orchestrator.asgi:application"),
        path=OURS,
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
        most_clients=50,  # PostgreSQL takes 100 connections, and this holds one for each
    ),
    Server(key="bare", title="bare asyncio, one write per event", command=("-m", "benchmarks.peers.bare_server", "{}")),
)
BY_KEY = {server.key: server for server in SERVERS}


def chosen(keys: Sequence[str]) -> list[Server]:
    """Return the servers of these names."""
    return [BY_KEY[key] for key in keys]


@contextmanager
def serving(server: Server, place: Database, port: int) -> Iterator[Popen[str]]:
    """Provide a server on a database; it has yet to be waited for."""
    command = [word.format(port) for word in server.command]
    with processes.running(*command, place=place, python=server.python, **server.settings) as process:
        yield process


def wait_until_ready(process: Popen[str], port: int) -> None:
    """Return once a server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while not _accepts(port):
        assert process.poll() is None, f"{process.args!r} has ended; see processes.log in the data directory"
        assert time.monotonic() < deadline, f"{process.args!r} did not start"
        time.sleep(POLL_SECONDS)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
