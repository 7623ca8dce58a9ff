"""PostgreSQL servers of this machine's own packages, each made in a temporary folder and stopped by its test.

They listen on a free TCP port of 127.0.0.1 and ask for a password. `owner` owns the database `scriptorium`, and is no
superuser. Settings are those of the package (so Debian's servers compile with JIT), apart from `fsync`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.e2e.processes import free_port, wait_until
from tests.support.waiting import HANG_SECONDS

ADMIN, OWNER, PASSWORD, DATABASE = "postgres", "owner", "correct horse", "scriptorium"
_UNPRIVILEGED_ID = 65534  # PostgreSQL refuses to run as root
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


class HasPort(Protocol):
    """Something that connections are made to: a server, or a proxy before one."""

    @property
    def port(self) -> int:
        """Return its TCP port."""
        ...


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs; None: there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(installed, key=lambda path: int(path.parent.name), default=None)


class Server:
    """One server. `url()` is how our processes reach it, `execute()` asks it as its superuser."""

    def __init__(self, folder: Path, *, name: str, settings: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of its first process; None: it does not run."""
        return self._process.pid if self._process is not None else None

    def url(self, user: str = OWNER, *, host: str = "127.0.0.1", **options: str) -> str:
        """Return the URL of the database for a user."""
        return url_of([self], user, host=host, **options)

    def execute(self, statement: str, *parameters: Any, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that the superuser sends."""
        with self.connect(ADMIN, database=database) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def connect(self, user: str = OWNER, *, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection that commits at once."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=PASSWORD, dbname=database, autocommit=True
        )

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        where = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                as_server([_program("postgres"), "-D", str(self.data), *where, *options]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=end_with_us,
            )
        wait_until(self._answers, what=f"the start of {self.name}")

    def stop(self, *, immediately: bool = False) -> None:
        """Stop it, by default after its connections were closed in good order; immediately is like a crash."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self._process.wait(HANG_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End its first process with SIGKILL, and return once the others have noticed: none is told."""
        if self._process is not None:
            children = _children(self._process.pid)
            self._process.kill()
            self._process.wait()
            self._process = None
            wait_until(lambda: not _alive(children), what=f"the end of all processes of {self.name}")

    def restart(self, *, immediately: bool = False) -> None:
        """Stop it and start it again."""
        self.stop(immediately=immediately)
        self.start()

    def change(self, **settings: str) -> None:
        """Change settings for all connections from now on; the open ones hear of it as well."""
        loaded = self.execute("SELECT pg_conf_load_time()")
        with self.connect(ADMIN) as connection:
            for name, value in settings.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(change)
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.execute("SELECT pg_conf_load_time()") != loaded, what="that settings are read")

    def read_only(self, on: bool = True) -> None:
        """Have transactions refuse to write by default; or not any more."""
        self.change(default_transaction_read_only="on" if on else "off")

    def promote(self) -> None:
        """Make a replica a primary of its own."""
        assert self.execute("SELECT pg_promote()") == [(True,)]
        wait_until(lambda: self.execute("SELECT pg_is_in_recovery()") == [(False,)], what="the promotion")

    def use_certificate(self, certificate: Path, key: Path) -> None:
        """Take connections over TLS as well, with this certificate and key (PEM)."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.data / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            give(target)
        self.change(ssl="on")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log.read_text(errors="replace")
        try:
            self.connect(ADMIN, database="postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def url_of(servers: Sequence[HasPort], user: str = OWNER, *, host: str = "127.0.0.1", **options: str) -> str:
    """Return one URL of several servers, in the order in which they are tried."""
    hosts = ",".join(f"{host}:{server.port}" for server in servers)
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"postgresql://{user}:{PASSWORD.replace(' ', '%20')}@{hosts}/{DATABASE}{'?' if query else ''}{query}"


class Servers:
    """Starts PostgreSQL servers, each in its own folder, and stops all servers at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Server] = []

    def make(self, **settings: str) -> Server:
        """Return a new server that runs, with `owner` and its empty database."""
        folder = self._folder / str(len(self._made))
        folder.mkdir()
        give(folder)
        (password := folder / "password").write_text(PASSWORD, encoding="ascii")
        give(password)
        server = Server(folder, name="primary", settings={"fsync": "off", **settings})
        _run("initdb", "-D", str(server.data), "-U", ADMIN, "-A", "scram-sha-256", f"--pwfile={password}",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        self._made.append(server)
        server.start()
        make_role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(OWNER), sql.Literal(PASSWORD))
        with server.connect(ADMIN, database="postgres") as connection:
            connection.execute(make_role)
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}".encode())
        return server

    def replica(self, of: Server, *, name: str = "replica", synchronous: bool = False) -> Server:
        """Return a streaming replica of a server; with `synchronous` every commit waits for it."""
        made = Server(of.data.parent, name=name, settings=of.settings)
        self._made.append(made)
        source = make_conninfo(host="127.0.0.1", port=of.port, user=ADMIN, password=PASSWORD, application_name=name)
        _run("pg_basebackup", "-d", source, "-D", str(made.data), "-X", "stream", "-c", "fast", "-R", "-C", "-S", name)
        made.start()
        streams = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        wait_until(lambda: of.execute(streams, name), what=f"that {name} follows")
        if synchronous:
            of.change(synchronous_standby_names=name)
            waits = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
            wait_until(lambda: of.execute(waits, name), what=f"that commits wait for {name}")
        return made

    def stop(self) -> None:
        """Stop all servers, replicas first. Their data is no longer needed."""
        for server in reversed(self._made):
            server.stop(immediately=True)


@contextmanager
def servers() -> Iterator[Servers]:
    """Provide what makes servers, in a temporary folder; stop them and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="scriptorium-postgresql-"))
    give(folder)
    made = Servers(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def _run(program: str, *arguments: str) -> None:
    command = as_server([_program(program), *arguments])
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


def _children(pid: int) -> list[str]:
    """Return the numbers of the processes that a process has started."""
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()


def _alive(pids: Sequence[str]) -> bool:
    """Return whether one of these processes is more than an entry that its parent has not removed yet."""
    if not pids:
        return False
    command = ["ps", "-o", "stat=", "-p", ",".join(pids)]
    states = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return any(not state.startswith("Z") for state in states)


def as_server(command: list[str]) -> list[str]:
    """Return a command that runs as an unprivileged user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    identity = [f"--reuid={_UNPRIVILEGED_ID}", f"--regid={_UNPRIVILEGED_ID}", "--clear-groups"]
    return ["setpriv", *identity, "--pdeathsig", "INT", *command]


def _program(name: str) -> str:
    folder = programs()
    assert folder is not None, "no PostgreSQL is installed"
    return str(folder / name)


def give(path: Path) -> None:
    """Have a file or folder belong to the user that the servers run as."""
    if os.geteuid() == 0:
        os.chown(path, _UNPRIVILEGED_ID, _UNPRIVILEGED_ID)


def end_with_us() -> None:
    """Have the kernel stop the server when the tests are killed; Linux alone can."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
