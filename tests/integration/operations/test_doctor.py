"""Messages of `manage.py doctor`, each on a database server with that problem."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from common.database import server as database_server
from orchestrator import diagnosis
from orchestrator.diagnosis import Finding, Level
from tests.e2e.processes import ROOT, Machine, free_port
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql_servers import ADMIN, OWNER, Server, Servers, give, servers
from tests.support.wall_clocks import Clocks

pytestmark = pytest.mark.postgresql

Look = Callable[[psycopg.Connection[tuple[object, ...]]], Iterator[Finding]]


@pytest.fixture(scope="module")
def made() -> Iterator[Servers]:
    """What makes the servers of this module."""
    with servers() as every:
        yield every


@pytest.fixture(scope="module")
def server(made: Servers) -> Server:
    """A server that tests change and leave as it was."""
    return made.make(fsync="on")


def said(server: Server, look: Look, *, user: str = OWNER) -> list[tuple[Level, str]]:
    """Return what a look at a server finds."""
    with server.connect(user) as connection:
        return [(finding.level, finding.text) for finding in look(connection)]


@pytest.fixture
def changed(server: Server) -> Iterator[Callable[..., None]]:
    """Return what changes settings of the server until the test ends."""
    yield server.change
    server.execute("ALTER SYSTEM RESET ALL")
    server.execute("SELECT pg_reload_conf()")
    server.restart()


@pytest.mark.parametrize("look", [diagnosis.encoding, diagnosis.rights, diagnosis.durability, diagnosis.clock])
def test_of_a_server_as_it_should_be_nothing_is_said(server: Server, look: Look) -> None:
    assert said(server, look) == []


@pytest.mark.parametrize("look", [diagnosis.version, diagnosis.writable, diagnosis.connections])
def test_what_is_as_it_should_be_is_named(server: Server, look: Look) -> None:
    assert [level for level, _ in said(server, look)] == [Level.GOOD]


@pytest.mark.parametrize(
    ("look", "settings", "expected"),
    [
        (diagnosis.writable, {"default_transaction_read_only": "on"}, "read-only by default"),
        (diagnosis.durability, {"full_page_writes": "off"}, "full_page_writes is off"),
        (diagnosis.durability, {"synchronous_commit": "off"}, "synchronous_commit is off"),
        (diagnosis.durability, {"synchronous_standby_names": "gone"}, "no replica is connected"),
    ],
)
def test_what_must_be_mended_is_said(
    server: Server, changed: Callable[..., None], look: Look, settings: dict[str, str], expected: str
) -> None:
    changed(**settings)
    [(level, text)] = said(server, look)
    assert level is Level.WRONG
    assert expected in text


@pytest.mark.parametrize(("limit", "level"), [(1, Level.WRONG), (33, Level.WRONG), (34, Level.GOOD)])
def test_connections_are_counted_against_each_limit(server: Server, limit: int, level: Level) -> None:
    server.execute(f"ALTER ROLE owner CONNECTION LIMIT {limit}")
    try:
        [(found, text)] = said(server, diagnosis.connections)
    finally:
        server.execute("ALTER ROLE owner CONNECTION LIMIT -1")
    assert (found, f"gives {limit} connections" in text) == (level, True)


def test_a_role_that_may_do_too_little_or_too_much_is_named(server: Server) -> None:
    server.execute("CREATE TABLE strange (id serial)")
    server.execute("REVOKE CREATE ON SCHEMA public FROM pg_database_owner")
    try:
        few, much = said(server, diagnosis.rights), said(server, diagnosis.rights, user=ADMIN)
    finally:
        server.execute("GRANT CREATE ON SCHEMA public TO pg_database_owner")
        server.execute("DROP TABLE strange")
    assert [level for level, _ in few] == [Level.NOTE, Level.WRONG]
    assert "cannot migrate" in few[0][1]
    assert "may not read and write strange, strange_id_seq" in few[1][1]
    assert [level for level, _ in much] == [Level.NOTE]
    assert "superuser" in much[0][1]


def test_a_replica_is_no_server_to_write_to_and_may_lose_the_last_seconds(made: Servers) -> None:
    primary = made.make()
    replica = made.replica(primary)
    assert [(level, "replica" in text) for level, text in said(replica, diagnosis.writable)] == [(Level.WRONG, True)]
    assert (Level.NOTE, True) in [
        (level, "asynchronously" in text) for level, text in said(primary, diagnosis.durability)
    ]


def test_a_database_in_another_encoding_is_refused(server: Server) -> None:
    server.execute("CREATE DATABASE odd OWNER owner ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with server.connect(database="odd") as connection:
        [found] = diagnosis.encoding(connection)
    assert found.level is Level.WRONG
    assert "LATIN1" in found.text


def test_two_urls_that_lead_to_one_database_hear_each_other(server: Server) -> None:
    with server.connect() as usual, server.connect() as direct:
        found = [*diagnosis.compare_urls(usual, direct)]
    assert found == [Finding(Level.GOOD, "Notifications arrive.")]


def test_two_urls_that_lead_to_different_databases_are_told_and_nothing_else(server: Server, made: Servers) -> None:
    server.execute("CREATE DATABASE second OWNER owner")
    elsewhere = made.make()
    for other in (server.connect(database="second"), elsewhere.connect()):
        with server.connect() as usual, other as direct:
            [found] = diagnosis.compare_urls(usual, direct)
        assert found.level is Level.WRONG
        assert "lead to different databases: set DATABASE_DIRECT_URL to the one" in found.text


def test_two_urls_that_lead_to_a_server_and_its_replica_are_told(made: Servers) -> None:
    primary = made.make()
    replica = made.replica(primary)
    for first, second, fix in (
        (primary, replica, "set DATABASE_DIRECT_URL to the same database as DATABASE_URL"),
        (replica, primary, "set DATABASE_URL to the server of DATABASE_DIRECT_URL, which accepts writes"),
    ):
        with first.connect() as usual, second.connect() as direct:
            [found] = diagnosis.compare_urls(usual, direct)
        assert found.level is Level.WRONG
        assert f"lead to a server and its replica: {fix}" in found.text
    with replica.connect() as usual, replica.connect() as direct:
        assert [*diagnosis.compare_urls(usual, direct)] == []  # that it takes no writes is told apart


NAME = "db.example"  # of a server that is no process of this machine, as far as its URL tells


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sslmode": "disable"}, "is not encrypted: add ?sslmode=verify-full"),
        ({"sslmode": "require"}, "has not proved who it is: add ?sslmode=verify-full"),
        ({"sslmode": "verify-ca"}, "has not proved who it is: add ?sslmode=verify-full"),
        ({"sslmode": "verify-full"}, ""),
        ({"host": "127.0.0.1", "sslmode": "disable"}, ""),
    ],
)
def test_tls_is_wanted_over_a_network(
    server: Server, changed: Callable[..., None], tmp_path: Path, options: dict[str, str], expected: str
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    own = [
        "-days",
        "2",
        "-subj",
        "/CN=ca",
        "-addext",
        f"subjectAltName=DNS:{NAME}",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*words, *own], check=True, capture_output=True)
    server.use_certificate(certificate, key)
    own_options = {"host": NAME, "hostaddr": "127.0.0.1", "sslrootcert": str(certificate), **options}
    with psycopg.connect(make_conninfo(server.url(), **own_options)) as connection:
        found = [*diagnosis.encryption(connection)]
    assert [finding.level for finding in found] == [Level.NOTE] * bool(expected)
    assert all(expected in finding.text and "to DATABASE_URL." in finding.text for finding in found)


@pytest.mark.parametrize("ahead", [600, -600, 3, -3])
def test_a_clock_that_differs_is_told_with_what_to_do(
    server: Server, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    class Wrong(datetime):
        """This machine's clock, when it is not set right."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(time.time() + ahead, tz)

    monkeypatch.setattr(database_server, "datetime", Wrong)
    [(level, text)] = said(server, diagnosis.clock)
    way = "ahead of" if ahead > 0 else "behind"
    end = "the database's, which all processes use: synchronize both by NTP."
    assert level is Level.WRONG
    assert re.fullmatch(rf"This machine's clock is \d+\.\d seconds {way} {end}", text)
    assert float(text.split()[4]) == pytest.approx(abs(ahead), abs=1)


def doctor(folder: Path, **environment: str) -> tuple[int, str]:
    """Return the exit code of `manage.py doctor`, and what it printed."""
    installed = Machine(folder, environment={"LOCAL": "1", **environment})
    words = [sys.executable, "manage.py", "doctor"]
    done = subprocess.run(
        words, cwd=ROOT, env=installed._env({}), capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout


def test_it_ends_with_1_until_the_tables_are_there(server: Server, tmp_path: Path) -> None:
    code, text = doctor(tmp_path, DATABASE_URL=server.url())
    assert code == 1
    assert "migrations are missing" in text
    Machine(tmp_path, environment={"LOCAL": "1", "DATABASE_URL": server.url()}).manage("migrate", "--verbosity", "0")
    code, text = doctor(tmp_path, DATABASE_URL=server.url())
    assert (code, "WRONG" in text, "All migrations are applied." in text) == (0, False, True), text
    server.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('executions', '9999_later', now())")
    code, text = doctor(tmp_path, DATABASE_URL=server.url())
    assert (code, "executions.9999_later" in text) == (1, True)


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:{}/n", "postgresql://u:secret@nowhere.invalid:{}/n"])
def test_a_database_that_cannot_be_reached_is_said_without_its_password(tmp_path: Path, url: str) -> None:
    code, text = doctor(tmp_path, DATABASE_URL=url.format(free_port()))
    assert (code, "cannot be reached" in text, "secret" in text) == (1, True, False)


def test_what_a_role_is_given_or_denied_does_not_stop_it(server: Server, tmp_path: Path) -> None:
    server.execute("ALTER ROLE owner SET DateStyle = 'German'")
    server.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        _, text = doctor(tmp_path, DATABASE_URL=server.url())
    finally:
        server.execute("ALTER ROLE owner RESET DateStyle")
        server.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
    assert "Notifications arrive." in text
    assert "Traceback" not in text


def test_an_option_that_cannot_be_read_is_named(server: Server, tmp_path: Path) -> None:
    code, text = doctor(tmp_path, DATABASE_URL=server.url(connect_timeout="soon"))
    assert (code, "connect_timeout" in text, "Traceback" in text) == (1, True, False), text


@pytest.mark.compiler
def test_on_a_machine_whose_clock_is_wrong_it_says_so(server: Server, tmp_path: Path) -> None:
    (clock := Clocks(tmp_path).make()).set(-3600)
    _, text = doctor(tmp_path, DATABASE_URL=server.url(), **clock.environment)
    assert re.search(r"WRONG  This machine's clock is 3(600|599)\.\d seconds behind the database's", text), text


@pytest.mark.pgbouncer
def test_a_pooler_needs_the_url_of_the_server_as_well(made: Servers, tmp_path: Path) -> None:
    server = made.make(fsync="on")
    (folder := server.data.parent / "pooler").mkdir()
    give(folder)
    Machine(tmp_path, environment={"LOCAL": "1", "DATABASE_URL": server.url()}).manage("migrate", "--verbosity", "0")
    with pgbouncer(server, folder) as url:
        code, text = doctor(tmp_path, DATABASE_URL=url)
        assert (code, "set DATABASE_DIRECT_URL" in text) == (1, True)
        code, text = doctor(tmp_path, DATABASE_URL=url, DATABASE_DIRECT_URL=url)
        assert (code, "cannot be reached" in text) == (1, True)
        code, text = doctor(tmp_path, DATABASE_URL=url, DATABASE_DIRECT_URL=server.url())
        assert code == 0, text
        assert "leads to a pooler" in text
        assert "SET statement_timeout" in text
        assert "SET jit = off" in text
        assert "time zone" not in text
        server.execute("ALTER ROLE owner SET TimeZone = 'Europe/Berlin'")
    with pgbouncer(server, folder) as url:  # whose sessions are new
        code, text = doctor(tmp_path, DATABASE_URL=url, DATABASE_DIRECT_URL=server.url())
        assert (code, "are in the time zone Europe/Berlin" in text, "SET TimeZone = 'UTC'" in text) == (0, True, True)
