"""The embedded PostgreSQL: shared, stopped by its last user, restarted, and never left running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from orchestrator.embedded_postgres import instance, supervisor
from tests.support.waiting import HANG_SECONDS, Stopwatch

ROOT = Path(__file__).resolve().parents[3]
#: Uses the server as `serve` does, says so, and lives until it is killed or told to end.
USER_CODE = """
import sys, pathlib
from orchestrator.embedded_postgres import instance
data_dir = pathlib.Path(sys.argv[1])
instance.ensure_running(data_dir)
stop = instance.keep_running(data_dir, every_seconds=0.1)
print("up", flush=True)
sys.stdin.read()
"""


def eventually(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def processes_of(data_dir: Path) -> dict[int, str]:
    """Return the supervisor and the postmaster of a data directory by pid; zombies have no command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"{data_dir}/postgres" in command or f"supervisor {data_dir}" in command:
                found[int(entry.name)] = command
    return found


def pid_of(data_dir: Path, word: str) -> int:
    """Return the pid of the "supervisor" or the "bin/postgres" of a data directory."""
    return next(pid for pid, command in processes_of(data_dir).items() if word in command)


def answers(data_dir: Path) -> bool:
    try:
        with psycopg.connect(instance.url(data_dir), connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


@dataclass
class Users:
    """Processes that use one server."""

    data_dir: Path
    prefix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        """Start a user and return once the server accepts its connections."""
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-c", USER_CODE, str(self.data_dir)],
            cwd=ROOT,
            env={**os.environ, "POSTGRES_FSYNC": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    def end(self) -> None:
        """Kill all users; the server must follow."""
        for process in self.started:
            process.kill()
            process.communicate()
        eventually(lambda: not processes_of(self.data_dir), "the server's end")


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    made = Users(tmp_path)
    yield made
    made.end()


def test_two_processes_share_a_server_and_the_last_one_stops_it(users: Users) -> None:
    first, second = users.start(), users.start()
    server = pid_of(users.data_dir, "bin/postgres")
    first.communicate("")
    # Longer than a supervisor waits for the next user: the second one alone keeps it.
    time.sleep(supervisor.LINGER_SECONDS + 1)
    assert pid_of(users.data_dir, "bin/postgres") == server
    second.communicate("")
    eventually(lambda: not processes_of(users.data_dir), "the server's end")


def test_users_that_are_killed_leave_no_server_behind(users: Users) -> None:
    for user in (users.start(), users.start()):
        user.send_signal(signal.SIGKILL)
    eventually(lambda: not processes_of(users.data_dir), "the server's end")


def test_a_killed_server_is_started_again_with_its_data(users: Users) -> None:
    users.start()
    with psycopg.connect(instance.url(users.data_dir), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number int)")
    killed = pid_of(users.data_dir, "bin/postgres")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed not in processes_of(users.data_dir) and answers(users.data_dir), "the server's return")
    with psycopg.connect(instance.url(users.data_dir)) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_killed_watchdog_takes_its_server_along_and_both_come_back(users: Users) -> None:
    users.start()
    before = processes_of(users.data_dir)
    os.kill(pid_of(users.data_dir, "supervisor"), signal.SIGKILL)
    eventually(lambda: not before.keys() & processes_of(users.data_dir).keys(), "the end of the old ones")
    eventually(lambda: answers(users.data_dir), "the server's return")


def test_many_that_start_at_once_get_one_server(users: Users) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: users.start(), range(4)))
    assert len(processes_of(users.data_dir)) == 2  # the supervisor and the postmaster


@pytest.mark.torture
def test_a_stale_note_of_a_server_does_not_stop_a_stranger_or_the_start(users: Users) -> None:
    users.start().communicate("")
    eventually(lambda: not processes_of(users.data_dir), "the server's end")
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    note = users.data_dir / "postgres" / "data" / "postmaster.pid"
    note.write_text(f"{stranger.pid}\n{note.parent}\n")
    users.start()
    assert stranger.poll() is None
    stranger.communicate(b"\n")


@pytest.mark.torture
def test_a_data_directory_with_a_very_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20) / ("longer" * 10)
    users = Users(deep)
    try:
        users.start()
        assert answers(deep)
        assert instance.socket_dir(deep).parent == Path("/tmp")  # noqa: S108
        assert instance.socket_dir(deep).stat().st_mode & 0o777 == 0o700
    finally:
        users.end()
        shutil.rmtree(instance.socket_dir(deep))


#: An ordinary user of every machine; the capability lets it read a checkout that lies in root's home.
ORDINARY = "daemon"
_BECOME_ORDINARY = (
    *("setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"),
    *("--securebits=+no_setuid_fixup", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_an_ordinary_user_has_a_server_too() -> None:
    # Not in tmp_path: pytest closes that to everybody else.
    home = Path(tempfile.mkdtemp(prefix="scriptorium-user-"))
    shutil.chown(home, ORDINARY, ORDINARY)
    users = Users(home, _BECOME_ORDINARY)
    try:
        users.start()
        assert Path(f"/proc/{pid_of(home, 'bin/postgres')}").owner() == ORDINARY
    finally:
        users.end()
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    shutil.chown(tmp_path / "postgres", ORDINARY)
    with pytest.raises(instance.PostgresError, match="belongs to another user"):
        instance.ensure_running(tmp_path)


def test_a_server_that_cannot_start_is_told_at_once_with_the_end_of_its_log(tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    home.mkdir()
    (home / "data").touch()  # a file where a directory is needed
    watch = Stopwatch()
    with pytest.raises(instance.PostgresError, match=r"server\.log:\n(.*\n)*.*cannot be made|Error"):
        instance.ensure_running(tmp_path)
    assert watch.seconds() < instance.START_SECONDS / 2
    instance.release(tmp_path)


def test_a_database_url_becomes_djangos_description_of_it() -> None:
    described = instance.django_database("postgresql://me%40work:p%2Fw@db.example:6432/our%20data?sslmode=require")
    assert described == {
        "ENGINE": "orchestrator.pooled_postgresql",
        "NAME": "our data",
        "USER": "me@work",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require"},
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://u@a:5432,b:5433,c/n?target_session_attrs=read-write",
            {"HOST": "a,b,c", "PORT": "5432,5433,", "OPTIONS": {"target_session_attrs": "read-write"}},
        ),
        ("postgres://u@/n?host=a,b&port=1,2", {"HOST": "a,b", "PORT": "1,2", "OPTIONS": {}}),
        ("postgresql://u@[2001:db8::1]:5433/n", {"HOST": "2001:db8::1", "PORT": "5433", "OPTIONS": {}}),
        (
            "postgresql://u@h/n?sslmode=verify-full&sslrootcert=/etc/ca%20s/ca.pem&channel_binding=require",
            {"OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/ca s/ca.pem", "channel_binding": "require"}},
        ),
        ("postgresql://?service=ours", {"NAME": "", "OPTIONS": {"service": "ours"}}),
        (
            "postgresql://h/n?passfile=/run/secrets/pgpass",
            {"PASSWORD": "", "OPTIONS": {"passfile": "/run/secrets/pgpass"}},
        ),
        (
            "postgresql://h/n?options=-c%20work_mem%3D64MB%20-c%20lock_timeout%3D1s",
            {"OPTIONS": {"options": "-c work_mem=64MB -c lock_timeout=1s"}},
        ),
    ],
)
def test_what_libpq_reads_in_a_url_is_read(url: str, expected: dict[str, object]) -> None:
    described = instance.django_database(url)
    assert {name: described[name] for name in expected} == expected


def test_an_option_that_libpq_does_not_know_is_named_and_nothing_else() -> None:
    with pytest.raises(instance.PostgresError, match="'sslmod'") as refused:
        instance.parameters("postgresql://u:secret@h/n?sslmod=require", variable="DATABASE_DIRECT_URL")
    assert "secret" not in str(refused.value)
    assert str(refused.value).startswith("DATABASE_DIRECT_URL ")


def test_a_socket_directory_in_the_url_is_the_host(tmp_path: Path) -> None:
    described = instance.django_database(instance.url(tmp_path))
    assert described["HOST"] == str(instance.socket_dir(tmp_path))
    assert described["OPTIONS"] == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://u:secret@h/n",
        "postgresql://u:secret@h",
        "postgresql://u:secret@h:no/n",
        "postgresql://u:secret@h:5432,i:no/n",
        "postgresql://u:secret%@h/n",
        "postgresql://u:secret@[::1/n",
        "host=h dbname=n password=secret",
        "secret",
    ],
)
def test_a_wrong_database_url_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(instance.PostgresError) as refused:
        instance.django_database(wrong)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
