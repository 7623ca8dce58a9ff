"""The embedded PostgreSQL: used without a DATABASE_URL, shared by all processes of a data directory.

Kernel locks track the users: every process that uses the server holds a shared `flock` on `users.lock`, which the
kernel releases when the process ends, also by `kill -9`. A detached supervisor (`supervisor.py`) holds `watchdog.lock`
and runs the server as its child. It restarts the server after a crash, and stops it once it can lock `users.lock`
exclusively.
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
START_SECONDS = 60.0  # includes crash recovery
POLL_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
_NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}  # names of Django and of libpq
_OPTIONS = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit of a socket path is 107
_LOG_LINES = 8  # lines of the server's log in an error

logger = logging.getLogger(__name__)


class PostgresError(SystemExit):
    """The embedded server cannot run here; the message says what to do."""


def url(data_dir: Path) -> str:
    """Return the URL of the embedded server of a data directory; does not start it."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(socket_dir(data_dir)), safe='')}"


def parameters(database_url: str, *, variable: str = "DATABASE_URL") -> dict[str, str]:
    """Parse a URL like `postgresql://user:password@host:port,host:port/name?option=value` to libpq parameters.

    All options of libpq are valid (PostgreSQL's manual, "Connection URIs").

    Args:
        database_url: The URL.
        variable: Environment variable of the URL, for error messages. They never show more of it than an option's name.

    Raises:
        PostgresError: the URL has another form, or an unknown option.
    """
    form_error = f"{variable} must look like postgresql://user:password@host:5432/name"
    if not database_url.startswith(("postgresql://", "postgres://")):
        raise PostgresError(form_error)
    query = database_url.partition("?")[2]
    for name in (option.partition("=")[0] for option in query.split("&") if option):
        if name not in _OPTIONS:
            raise PostgresError(f"{variable} has the option {name!r}, which is unknown to libpq")
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    except psycopg.ProgrammingError:
        raise PostgresError(form_error) from None  # the cause contains the password
    ports = [port for port in found.get("port", "").split(",") if port]
    if not all(port.isascii() and port.isdigit() for port in ports) or not {"dbname", "service"} & found.keys():
        raise PostgresError(form_error)
    return found


def django_database(database_url: str) -> dict[str, Any]:
    """Return the entry of Django's DATABASES for a URL, which may name several hosts.

    Raises:
        PostgresError: the URL is invalid.
    """
    options = parameters(database_url)
    return {
        "ENGINE": "orchestrator.pooled_postgresql",
        **{key: options.pop(name, "") for key, name in _NAMES.items()},
        "OPTIONS": options,
    }


_user_locks: dict[Path, int] = {}  # file descriptors of users.lock, by data directory


def ensure_running(data_dir: Path) -> None:
    """Register this process as a user of the server until it ends, and return once the server accepts connections.

    Raises:
        PostgresError: the server cannot run here, or did not start within a minute; the message names its log.
    """
    _prepare(data_dir)
    home = home_of(data_dir)
    if home not in _user_locks:
        lock = os.open(
            home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600
        )  # a plain descriptor: the kernel closes it when the process ends
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a supervisor is stopping the server
        _user_locks[home] = lock
    deadline = time.monotonic() + START_SECONDS
    supervisor: subprocess.Popen[bytes] | None = None
    while not _accepts_connections(data_dir):
        if time.monotonic() > deadline or (supervisor is not None and supervisor.poll()):
            raise PostgresError(_failure(home / "server.log"))
        if not _has_supervisor(home):
            supervisor = _start_supervisor(data_dir)
        time.sleep(POLL_SECONDS)


def keep_running(data_dir: Path, *, every_seconds: float = 1.0) -> Callable[[], None]:
    """Restart the server from a thread if its supervisor has died. Returns a function that stops the thread."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(every_seconds):
            try:
                if not _has_supervisor(home_of(data_dir)):
                    ensure_running(data_dir)
            except (PostgresError, OSError) as error:
                logger.error("%s", error)

    threading.Thread(target=run, name="postgres-keeper", daemon=True).start()
    return stopped.set


def release(data_dir: Path) -> None:
    """Unregister this process before it ends. The supervisor stops the server after the last user."""
    if (lock := _user_locks.pop(home_of(data_dir), None)) is not None:
        os.close(lock)


def wait_until_stopped(data_dir: Path, *, seconds: float) -> bool:
    """Wait until the server has stopped; return False after the timeout, while another process uses it."""
    deadline = time.monotonic() + seconds
    while _has_supervisor(home_of(data_dir)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def home_of(data_dir: Path) -> Path:
    """Return the server's directory."""
    return data_dir / "postgres"


@cache
def socket_dir(data_dir: Path) -> Path:
    """Return the directory of the server's socket: in its home, or a short path if that path is too long."""
    inside = home_of(data_dir) / "run"
    if len(os.fsencode(inside / SOCKET)) <= _SOCKET_PATH_LIMIT:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    # Not TMPDIR: it may be long too, and may differ between processes.
    return Path("/tmp") / f"scriptorium-{os.geteuid()}-{name}"  # noqa: S108 - the owner is checked


def try_lock(file: IO[bytes]) -> bool:
    """Try to lock a file exclusively without waiting; return whether it succeeded."""
    return _lock(file, fcntl.LOCK_EX)


def make_private_directory(path: Path) -> None:
    """Create a directory that only its owner may enter: access to it is access to the server.

    Raises:
        PostgresError: the path belongs to another user.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PostgresError(f"{path} belongs to another user; set DATA_DIR to a directory of your own.")
    path.chmod(0o700)


def _prepare(data_dir: Path) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise PostgresError(
            "PostgreSQL does not run as root, and setpriv (of util-linux) is missing to run it as the user `nobody`: "
            "set DATABASE_URL, or use an ordinary account."
        )
    try:
        make_private_directory(home_of(data_dir))
        make_private_directory(socket_dir(data_dir))
    except OSError as error:
        raise PostgresError(f"{home_of(data_dir)} is not usable: {error.strerror}; set DATA_DIR.") from error


def _accepts_connections(data_dir: Path) -> bool:
    if not (socket_dir(data_dir) / SOCKET).exists():
        return False
    try:
        psycopg.connect(url(data_dir), connect_timeout=2).close()
    except psycopg.OperationalError:  # not started yet, or the database does not exist yet
        return False
    return True


def _lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_supervisor(home: Path) -> bool:
    with (home / "watchdog.lock").open("ab") as probe:
        return not _lock(probe, fcntl.LOCK_SH)


def _start_supervisor(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start the supervisor, and return once it holds its lock or has ended."""
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
    # The supervisor may outlive this process; if it ends earlier, a thread reaps it.
    threading.Thread(target=process.wait, name="postgres-reaper", daemon=True).start()
    while process.poll() is None and not _has_supervisor(home):
        time.sleep(POLL_SECONDS)
    return process


def _failure(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"The embedded PostgreSQL did not start. The end of {log}:", *lines])
