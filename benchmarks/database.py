"""PostgreSQL for a benchmark run, with a new database for each measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmarks.environments import DATA_DIR, ROOT
from orchestrator.embedded_postgres import instance

_TABLES = """
SELECT schemaname, relname FROM pg_stat_user_tables WHERE relname NOT LIKE '%migration%' ORDER BY schemaname, relname
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of the embedded server."""

    name: str

    @property
    def url(self) -> str:
        """URL of the database."""
        return f"postgresql://{instance.USER}@/{self.name}?host={quote(str(instance.socket_dir(DATA_DIR)), safe='')}"

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses the database."""
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        product = {"DATABASE_URL": self.url, "DATA_DIR": str(DATA_DIR), "LOCAL": "1", "LOG_LEVEL": "WARNING"}
        limits = {"DATABASE_POOL_SIZE": "32", "EXECUTIONS_PER_USER": "1000000"}  # one user owns all executions
        return {**inherited, **product, **limits, "POSTMASTER_PID": str(postmaster())}

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        with psycopg.connect(self.url) as connection:
            tables = connection.execute(_TABLES).fetchall()
            count = sql.SQL("SELECT count(*) FROM {}")
            return {
                table: connection.execute(count.format(sql.Identifier(schema, table))).fetchone()[0]  # type: ignore[index]
                for schema, table in tables
            }

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run a management command on the database; return its output."""
        command = [sys.executable, "manage.py", *arguments]
        result = subprocess.run(
            command, cwd=ROOT, env=self.environment(), check=True, input=stdin, stdout=subprocess.PIPE, text=True
        )
        return result.stdout


TEMPLATE = Database("bench_template")


def start() -> None:
    """Start the server with fsync on, and recreate the template of the product's databases."""
    os.environ.pop("POSTGRES_FSYNC", None)
    instance.ensure_running(DATA_DIR)
    with _admin() as admin:
        assert admin.execute("SHOW fsync").fetchone() == ("on",)
    _drop(TEMPLATE)
    _create(TEMPLATE)
    TEMPLATE.manage("migrate", "--verbosity", "0")
    TEMPLATE.manage("load_catalog")


@contextmanager
def fresh_database(name: str, *, product: bool) -> Iterator[Database]:
    """Provide a new database: the product's tables without executions, or an empty database."""
    database = Database(f"bench_{name}")
    _drop(database)
    _create(database, template=TEMPLATE if product else None)
    try:
        yield database
    finally:
        _drop(database)


def kept_database(name: str, key: str, *, fill: Callable[[Database], float]) -> tuple[Database, float]:
    """Return a database that stays, and the minutes that filling it took, once for all with the same key."""
    database = Database(f"bench_{name}")
    comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    with _admin() as admin:
        found = admin.execute(comment, [database.name]).fetchone()
        known = json.loads(found[0]) if found and found[0] else {}
        if known.get("key") == key:
            return database, float(known["minutes"])
        _drop(database)
        _create(database, template=TEMPLATE)
        minutes = fill(database)
        said = sql.Literal(json.dumps({"key": key, "minutes": minutes}))
        admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database.name), said))
    return database, minutes


def checkpoint() -> None:
    """Run a checkpoint, so that a measurement does not pay for previous writes."""
    with _admin() as admin:
        admin.execute("CHECKPOINT")


def postmaster() -> int:
    """Return the process id of the server."""
    pid_file = instance.home_of(DATA_DIR) / "data" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0])


def server_version() -> str:
    """Return the version of the server."""
    with _admin() as admin:
        return str(admin.info.parameter_status("server_version")).split()[0]


def _admin() -> psycopg.Connection:
    return psycopg.connect(Database("postgres").url, autocommit=True)


def _create(database: Database, *, template: Database | None = None) -> None:
    source = sql.Identifier(template.name if template else "template1")
    with _admin() as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database.name), source))


def _drop(database: Database) -> None:
    with _admin() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))
