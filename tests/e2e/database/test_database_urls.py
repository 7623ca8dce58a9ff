"""URLs with several hosts, and TLS connections that verify the server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, machine, start_execution, wait_for_status, wait_until
from tests.support.postgresql_servers import Server, Servers, url_of

pytestmark = [pytest.mark.e2e, pytest.mark.postgresql]

OVER_TLS = """
SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'owner'
"""


def shell(installed: Machine, statement: str) -> str:
    """Return what a statement finds over the product's own connection."""
    code = f"from django.db import connection as c; k = c.cursor(); k.execute({statement!r}); print(k.fetchone()[0])"
    return installed.manage("shell", "--no-imports", "-c", code).strip()


def test_of_several_hosts_the_one_that_takes_writes_is_used_also_after_a_promotion(
    postgresql: Servers, tmp_path: Path
) -> None:
    primary = postgresql.make()
    replica = postgresql.replica(primary)
    url = url_of([replica, primary], target_session_attrs="read-write")
    with machine(tmp_path / "data", DATABASE_URL=url, LOCAL="1") as installed:
        installed.prepare()
        assert shell(installed, "SELECT inet_server_port()") == str(primary.port)
        installed.serve()
        with installed.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF)
            wait_for_status(client, execution_id, "completed")
            here = "SELECT count(*) FROM executions_execution WHERE status = 'completed'"
            wait_until(lambda: replica.execute(here) == [(1,)], what="the replica's copy")
            primary.stop(immediately=True)
            replica.promote()

            def starts() -> str | None:
                scope = {"scope_type": "project", "scope_id": "p2"}
                body = {"workflow_id": "strategy-document", **scope, "input": CLOSED_BRIEF}
                response = client.post("/executions/", json=body)
                return str(response.json()["execution_id"]) if response.status_code == 201 else None

            wait_for_status(client, wait_until(starts, what="a start on the promoted replica"), "completed")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with a certificate authority, and a certificate for `localhost` that it has signed."""
    folder = tmp_path / "authority"
    folder.mkdir()
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    for name in ("ca", "other"):
        openssl(folder, *make.split(), "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost", "-subj", "/CN=localhost"]
    openssl(folder, *make.split(), *sign, "-keyout", "server.key", "-out", "server.pem")
    return folder


def openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def encrypted(postgresql: Servers, authority: Path) -> Iterator[Server]:
    """A server with that certificate."""
    server = postgresql.make()
    server.use_certificate(authority / "server.pem", authority / "server.key")
    yield server


def test_everything_goes_over_tls_to_a_server_that_proves_its_name(
    encrypted: Server, authority: Path, tmp_path: Path
) -> None:
    url = encrypted.url(host="localhost", sslmode="verify-full", sslrootcert=str(authority / "ca.pem"))
    with machine(tmp_path / "data", DATABASE_URL=url, LOCAL="1") as installed:
        installed.prepare()
        installed.serve()
        with installed.client() as client:
            wait_for_status(client, start_execution(client, CLOSED_BRIEF), "completed")
        [(every, over_tls)] = encrypted.execute(OVER_TLS)
        assert every == over_tls > 3


@pytest.mark.parametrize(("host", "root", "why"), [("127.0.0.1", "ca", "127.0.0.1"), ("localhost", "other", "verify")])
def test_a_server_with_another_name_or_of_another_authority_is_refused(
    encrypted: Server, authority: Path, host: str, root: str, why: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match=why):
        psycopg.connect(encrypted.url(host=host, sslmode="verify-full", sslrootcert=str(authority / f"{root}.pem")))
