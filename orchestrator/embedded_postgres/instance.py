"""The embedded PostgreSQL: started when no DATABASE_URL is given, shared by all processes of a data directory.

Who lives is told by the kernel, not by a list: every user of the server holds a shared `flock` on `users.lock` for as
long as it lives, also through `kill -9`. A detached watchdog (`watchdog.py`) holds `watchdog.lock`, runs the server as
its child, starts it again when it dies, and stops it once it can take `users.lock` for itself alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

DATABASE = "scriptorium"
USER = "postgres"
START_SECONDS = 60.0  # after a crash the server may need a while to recover
POLL_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}  # Django's, libpq's
_OPTIONS = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit for a socket's whole path is 107
_LOG_LINES = 8  # of the server's log, in an error

logger = logging.getLogger(__name__)


class PostgresError(SystemExit):
    """The embedded server cannot be run here; the message says what to do."""


def url(data_dir: Path) -> str:
    """Return the URL of the embedded server of a data directory; starts nothing."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(socket_dir(data_dir)), safe='')}"


def parameters(database_url: str, *, variable: str = "DATABASE_URL") -> dict[str, str]:
    """Return libpq's parameters of a URL like `postgresql://user:password@host:port,host:port/name?option=value`.

    All of libpq's options may be used (PostgreSQL's manual, "Connection URIs").

    Args:
        database_url: The URL.
        variable: Where it stands; an error names it, and shows no part of the URL but the name of an option.

    Raises:
        PostgresError: it is no such URL, or has an option that libpq does not know.
    """
    wrong = f"{variable} must look like postgresql://user:password@host:5432/name"
    if not database_url.startswith(("postgresql://", "postgres://")):
        raise PostgresError(wrong)
    query = database_url.partition("?")[2]
    for name in (option.partition("=")[0] for option in query.split("&") if option):
        if name not in _OPTIONS:
            raise PostgresError(f"{variable} has the option {name!r}, which libpq does not know")
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    except psycopg.ProgrammingError:
        raise PostgresError(wrong) from None  # the cause would show the password
    ports = [port for port in found.get("port", "").split(",") if port]
    if not all(port.isascii() and port.isdigit() for port in ports) or not {"dbname", "service"} & found.keys():
        raise PostgresError(wrong)
    return found


def django_database(database_url: str) -> dict[str, Any]:
    """Return Django's description of a URL, which may name several hosts.

    Raises:
        PostgresError: it is no such URL.
    """
    options = parameters(database_url)
    return {
        "ENGINE": "orchestrator.pooled_postgresql",
        **{key: options.pop(name, "") for key, name in _NAMES.items()},
        "OPTIONS": options,
    }


_held: dict[Path, int] = {}  # descriptor of users.lock of each data directory that this process uses


def ensure_running(data_dir: Path) -> None:
    """Take part as a user of the server until this process ends, and return once it accepts connections.

    Raises:
        PostgresError: it cannot run here, or does not come up within a minute; the message names its log.
    """
    _prepare(data_dir)
    home = home_of(data_dir)
    if home not in _held:
        lock = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)  # bare: the kernel closes it at our end
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a watchdog is stopping the server
        _held[home] = lock
    deadline = time.monotonic() + START_SECONDS
    watchdog: subprocess.Popen[bytes] | None = None
    while not _accepts(data_dir):
        if time.monotonic() > deadline or (watchdog is not None and watchdog.poll()):
            raise PostgresError(_failure(home / "server.log"))
        if not _watched(home):
            watchdog = _start_watchdog(data_dir)
        time.sleep(POLL_SECONDS)


def keep_running(data_dir: Path, *, every_seconds: float = 1.0) -> Callable[[], None]:
    """Start the server again, from a thread of its own, when its watchdog died. Returns what ends the thread."""
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(every_seconds):
            try:
                if not _watched(home_of(data_dir)):
                    ensure_running(data_dir)
            except (PostgresError, OSError) as error:
                logger.error("%s", error)

    threading.Thread(target=look, name="postgres-keeper", daemon=True).start()
    return stopped.set


def release(data_dir: Path) -> None:
    """Take part no more before this process ends; the last user's leaving stops the server."""
    if (lock := _held.pop(home_of(data_dir), None)) is not None:
        os.close(lock)


def wait_until_stopped(data_dir: Path, *, seconds: float) -> bool:
    """Return once nobody runs the server any more, or False after so many seconds: somebody still uses it."""
    deadline = time.monotonic() + seconds
    while _watched(home_of(data_dir)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def home_of(data_dir: Path) -> Path:
    """Return the directory of everything that belongs to the server."""
    return data_dir / "postgres"


@cache
def socket_dir(data_dir: Path) -> Path:
    """Return where the server's socket lies: in its home, or in a short path when that one is too long for a socket."""
    inside = home_of(data_dir) / "run"
    if len(os.fsencode(inside / SOCKET)) <= _SOCKET_PATH_LIMIT:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    # Not the temporary directory of the environment: it may be long too, and differ between two users of one server.
    return Path("/tmp") / f"scriptorium-{os.geteuid()}-{name}"  # noqa: S108 - its owner is checked


def try_lock(file: IO[bytes]) -> bool:
    """Lock a file for this process alone, and return whether that was possible at once."""
    return _lock(file, fcntl.LOCK_EX)


def own(path: Path) -> None:
    """Make a directory that only its owner may enter: who gets in is who may use the server.

    Raises:
        PostgresError: somebody else made it first.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PostgresError(f"{path} belongs to somebody else; set DATA_DIR to a directory of your own.")
    path.chmod(0o700)


def _prepare(data_dir: Path) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise PostgresError(
            "PostgreSQL refuses to run as root, and there is no program setpriv (of util-linux) to run it as nobody: "
            "set DATABASE_URL, or be an ordinary user."
        )
    try:
        own(home_of(data_dir))
        own(socket_dir(data_dir))
    except OSError as error:
        raise PostgresError(f"{home_of(data_dir)} cannot be used: {error.strerror}; set DATA_DIR.") from error


def _accepts(data_dir: Path) -> bool:
    if not (socket_dir(data_dir) / SOCKET).exists():
        return False
    try:
        psycopg.connect(url(data_dir), connect_timeout=2).close()
    except psycopg.OperationalError:  # not yet, or our database is still to be created
        return False
    return True


def _lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _watched(home: Path) -> bool:
    with (home / "watchdog.lock").open("ab") as probe:
        return not _lock(probe, fcntl.LOCK_SH)


def _start_watchdog(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start the process that runs the server, and return once it holds its lock or has ended."""
    home = home_of(data_dir)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "orchestrator.embedded_postgres.supervisor", str(data_dir)],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # The watchdog outlives us on purpose; a thread reaps it when it ends first.
    threading.Thread(target=process.wait, name="postgres-reaper", daemon=True).start()
    while process.poll() is None and not _watched(home):
        time.sleep(POLL_SECONDS)
    return process


def _failure(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"The embedded PostgreSQL does not start. The end of {log}:", *lines])
