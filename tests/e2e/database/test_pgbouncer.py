"""Web processes and workers through PgBouncer in transaction mode, with a direct URL for sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.e2e.database.test_postgresql import run_with_questions
from tests.e2e.processes import ROOT, Machine, machine
from tests.support.pgbouncer import SESSIONS, pgbouncer
from tests.support.postgresql_servers import Server, Servers, give

pytestmark = [pytest.mark.e2e, pytest.mark.postgresql, pytest.mark.pgbouncer]

NAMES = ("statement_timeout", "enable_seqscan", "enable_hashjoin", "plan_cache_mode", "jit")
_CLIENTS = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'owner'"


@pytest.fixture
def server(postgresql: Servers) -> Server:
    """A server whose role has the settings that the documentation gives it."""
    server = postgresql.make(jit="on")
    text = (ROOT / "docs" / "databases.md").read_text(encoding="utf-8")
    statements = re.findall(r"^ALTER ROLE scriptorium SET .*;", text, re.MULTILINE)
    assert len(statements) == 4
    for statement in statements:
        server.execute(statement.replace("scriptorium", "owner"))
    return server


@pytest.fixture
def pooled(server: Server, tmp_path: Path) -> Iterator[Machine]:
    """An installation whose processes go through PgBouncer."""
    (folder := Path(server.data.parent / "pooler")).mkdir()
    give(folder)
    with (
        pgbouncer(server, folder) as url,
        machine(tmp_path / "data", DATABASE_URL=url, DATABASE_DIRECT_URL=server.url(), LOCAL="1") as made,
    ):
        made.prepare()
        yield made


def test_web_and_workers_do_everything_through_a_pooler(pooled: Machine, server: Server, brief: str) -> None:
    pooled.serve("--no-worker")
    for _ in range(2):
        pooled.start("worker")
    with pooled.client() as client:
        run_with_questions(client, brief)
        response = client.get("/executions/")
        assert len(response.json()["data"]) == 1
    direct = {name for (name,) in server.execute(_CLIENTS)}
    assert {"scriptorium-listener", "scriptorium-journal"} <= direct
    assert not [line for line in pooled.logs().splitlines() if "[error" in line or "Traceback" in line], pooled.logs()


def test_commands_that_are_short_or_need_a_session_go_past_the_pooler(pooled: Machine, server: Server) -> None:
    show = "from django.db import connection; print(connection.settings_dict['PORT'], bool(connection.introspection))"
    assert pooled.manage("shell", "--no-imports", "-c", show).split()[0] == str(server.port)


def test_no_session_of_the_pooler_keeps_what_a_client_has_set(pooled: Machine, server: Server) -> None:
    """Sessions of the server go from client to client: each asks for its settings there."""
    url = pooled.environment["DATABASE_URL"]
    pooled.serve("--no-worker", READ_STATEMENT_SECONDS="7")
    pooled.start("worker")
    with pooled.client() as client:
        for _ in range(20):
            assert client.get("/executions/").status_code == 200
    pooled.stop()
    shown = sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(sql.SQL("current_setting({})").format(name) for name in NAMES)
    )
    with ExitStack() as stack:
        for _ in range(SESSIONS):  # each in a transaction, and so in a session of the server of its own
            found = stack.enter_context(psycopg.connect(url)).execute(shown).fetchone()
            assert found == ("25s", "on", "on", "auto", "off")
