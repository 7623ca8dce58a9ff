"""PgBouncer in transaction mode before a server, as docs/databases.md describes it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.e2e.processes import free_port, wait_until
from tests.support.postgresql_servers import DATABASE, OWNER, PASSWORD, Server, as_server, end_with_us, give
from tests.support.waiting import HANG_SECONDS

SESSIONS = 4  # of the server, that all clients share

_CONFIGURATION = """
[databases]
{database} = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
"""


@contextmanager
def pgbouncer(server: Server, folder: Path) -> Iterator[str]:
    """Run a PgBouncer that has four connections for all of its clients; provide the URL that leads through it."""
    program = shutil.which("pgbouncer")
    assert program is not None, "pgbouncer is not installed"
    port, users, settings, log = free_port(), folder / "users", folder / "pgbouncer.ini", folder / "pgbouncer.log"
    users.write_text(f'"{OWNER}" "{PASSWORD}"\n', encoding="ascii")
    settings.write_text(
        _CONFIGURATION.format(database=DATABASE, server_port=server.port, port=port, users=users, sessions=SESSIONS),
        encoding="ascii",
    )
    for path in (users, settings):
        give(path)
    with log.open("wb") as output:
        process = subprocess.Popen(
            as_server([program, str(settings)]), stdout=output, stderr=output, cwd="/", preexec_fn=end_with_us
        )
    url = server.url().replace(f":{server.port}/", f":{port}/")

    def answers() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        wait_until(answers, what="the start of PgBouncer")
        yield url
    finally:
        process.terminate()
        process.wait(HANG_SECONDS)
