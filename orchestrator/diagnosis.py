"""Checks of `manage.py doctor`: each function examines one aspect of the database, and yields findings."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection as django_connection
from django.db.migrations.executor import MigrationExecutor

from common.database.parameters import connection_parameters, direct_parameters
from common.database.server import clock_difference, probe, server
from executions.progress.event_reader import POOL_SIZE as STREAM_CONNECTIONS
from executions.queue import job_manager
from orchestrator.legacy_database import LegacyDatabase, is_legacy

OLDEST, NEWEST = 15, 18  # tested major versions of PostgreSQL
LISTEN_SECONDS = 5.0  # timeout of a notification
OWN_CONNECTIONS = 2  # one for LISTEN, one for NOTIFY
JOURNAL_CONNECTIONS = 2

Connection = psycopg.Connection[tuple[Any, ...]]
Findings = Iterator["Finding"]


class Level(StrEnum):
    """Severity of a finding."""

    GOOD = "ok"
    NOTE = "note"  # works, but could be improved
    WRONG = "WRONG"  # must be fixed


@dataclass(frozen=True, slots=True)
class Finding:
    """One or two sentences about the installation."""

    level: Level
    text: str


def examine() -> Findings:
    """Yield all findings, without changes to the database."""
    try:
        with psycopg.connect(**connection_parameters(), autocommit=True) as usual:
            yield from pooler(usual)
            with psycopg.connect(**direct_parameters(), autocommit=True) as direct:
                yield from compare_urls(usual, direct)
                for check in CHECKS:
                    yield from check(direct)
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        yield Finding(Level.WRONG, f"A URL has an invalid option: {error}.")
    except psycopg.OperationalError as error:
        yield from unreachable(" ".join(str(error).split()))
    else:
        yield from migrations()


def unreachable(reason: str) -> Findings:
    """Report why the connection failed."""
    if "startup parameter" in reason:
        reason = f"{reason}. This is a pooler: set DATABASE_DIRECT_URL to the URL of the server itself"
    yield Finding(Level.WRONG, f"The database cannot be reached: {reason}.")


def pooler(usual: Connection) -> Findings:
    """Detect a pooler: the process id that it reports to clients differs from the backend's."""
    pid = _one(usual, "SELECT pg_backend_pid()")
    is_pooled = pid != usual.info.backend_pid
    if is_pooled and not settings.DATABASE_DIRECT_URL:
        yield Finding(
            Level.WRONG, "DATABASE_URL leads to a pooler: set DATABASE_DIRECT_URL to the URL of the server itself."
        )
    elif is_pooled:
        yield Finding(Level.GOOD, "DATABASE_URL leads to a pooler.")
        if (zone := _one(usual, "SELECT current_setting('TimeZone')")) not in {"UTC", "Etc/UTC"}:
            fix = f"ALTER ROLE {usual.info.user} SET TimeZone = 'UTC'"
            text = f"Sessions of the pooler use the time zone {zone}, which some poolers apply to our sessions: {fix}."
            yield Finding(Level.NOTE, text)
        for name in ("idle_in_transaction_session_timeout", "statement_timeout"):
            if _one(usual, "SELECT setting::bigint FROM pg_settings WHERE name = %s", name) == 0:
                fix = f"ALTER ROLE {usual.info.user} SET {name} = '25s'"
                yield Finding(Level.NOTE, f"Sessions of the pooler have no {name}: {fix}.")
    elif settings.DATABASE_DIRECT_URL:
        yield Finding(Level.NOTE, "DATABASE_DIRECT_URL is set, but DATABASE_URL does not lead to a pooler.")
    if _one(usual, "SELECT current_setting('jit')") == "on":
        fix = f"ALTER ROLE {usual.info.user} SET jit = off"
        yield Finding(Level.NOTE, f"JIT is on, which takes longer than the statements themselves: {fix}.")


def compare_urls(usual: Connection, direct: Connection) -> Findings:
    """Check that both URLs lead to the same database, and that notifications work."""
    different = [*same_database(usual, direct)]
    yield from different or notifications(usual, direct)
    if settings.DATABASE_DIRECT_URL:
        yield from encryption(usual, "DATABASE_URL")


def same_database(usual: Connection, direct: Connection) -> Findings:
    """Report URLs that lead to different databases, or to a server and its replica."""
    which = "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || current_database()"
    since = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    fix = "set DATABASE_DIRECT_URL to the same database as DATABASE_URL"
    try:
        is_other = _one(usual, which) != _one(direct, which)
    except psycopg.errors.InsufficientPrivilege:
        is_other = _one(usual, "SELECT current_database()") != _one(direct, "SELECT current_database()")
    if is_other:
        yield Finding(Level.WRONG, f"DATABASE_URL and DATABASE_DIRECT_URL lead to different databases: {fix}.")
    elif _one(usual, since) != _one(direct, since):
        if _one(usual, "SELECT pg_is_in_recovery()"):
            fix = "set DATABASE_URL to the server of DATABASE_DIRECT_URL, which accepts writes"
        yield Finding(Level.WRONG, f"DATABASE_URL and DATABASE_DIRECT_URL lead to a server and its replica: {fix}.")


def notifications(usual: Connection, direct: Connection) -> Findings:
    """Check that the direct connection receives notifications from the usual connection."""
    if _one(direct, "SELECT pg_is_in_recovery()"):
        return  # a replica supports neither; `writable` reports it
    direct.execute("LISTEN scriptorium_doctor")
    usual.execute("NOTIFY scriptorium_doctor")
    if any(True for _ in direct.notifies(timeout=LISTEN_SECONDS, stop_after=1)):
        yield Finding(Level.GOOD, "Notifications arrive.")
    else:
        yield Finding(Level.WRONG, "LISTEN receives nothing: DATABASE_DIRECT_URL must lead to the server itself.")


def version(direct: Connection) -> Findings:
    """Check the server's version."""
    major = direct.info.server_version // 10_000
    if major < OLDEST:
        yield Finding(Level.WRONG, f"PostgreSQL {major} is too old: {OLDEST} or newer is needed.")
    elif major > NEWEST:
        yield Finding(Level.NOTE, f"PostgreSQL {major} is untested; {OLDEST} to {NEWEST} are tested.")
    else:
        yield Finding(Level.GOOD, f"PostgreSQL {major}.")


def writable(direct: Connection) -> Findings:
    """Check that the server accepts writes."""
    hosts = "name all servers in DATABASE_URL, with ?target_session_attrs=read-write"
    if _one(direct, "SELECT pg_is_in_recovery()"):
        yield Finding(Level.WRONG, f"The server is a replica or in crash recovery, and rejects writes: {hosts}.")
    elif _one(direct, "SELECT current_setting('transaction_read_only')") == "on":
        fix = "set default_transaction_read_only to off, for the server or the role"
        yield Finding(Level.WRONG, f"Transactions are read-only by default: {fix}.")
    else:
        yield Finding(Level.GOOD, "The server accepts writes.")


def encoding(direct: Connection) -> Findings:
    """Check the encoding of the database."""
    if (found := _one(direct, "SELECT current_setting('server_encoding')")) != "UTF8":
        yield Finding(
            Level.WRONG, f"The encoding of the database is {found}: create one with ENCODING 'UTF8' TEMPLATE template0."
        )


def rights(direct: Connection) -> Findings:
    """Check the privileges of the role."""
    role = direct.info.user
    if _one(direct, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield Finding(Level.NOTE, f"The role {role} is a superuser, which is more than it needs.")
    if not _one(direct, "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"):
        fix = "migrate as the owner of the database, or GRANT CREATE ON SCHEMA public"
        yield Finding(Level.NOTE, f"The role {role} cannot migrate, because it may not create tables: {fix}.")
    missing = direct.execute(_MISSING_RIGHTS).fetchall()
    if missing:
        names = ", ".join(name for (name,) in missing[:3])
        more = " and others" if len(missing) > 3 else ""
        yield Finding(
            Level.WRONG,
            f"The role {role} may not read and write {names}{more}: GRANT the privileges, or make it the owner.",
        )


def durability(direct: Connection) -> Findings:
    """Report settings with which the server can lose committed data."""
    for name, harm in _HARMS.items():
        if _one(direct, "SELECT current_setting(%s)", name) == "off":
            yield Finding(Level.WRONG, f"{name} is off: {harm}.")
    replicas = _one(direct, "SELECT count(*) FROM pg_stat_replication")
    names = _one(direct, "SELECT current_setting('synchronous_standby_names')")
    if names and not replicas:
        yield Finding(
            Level.WRONG, f"Commits wait for {names!r} (synchronous_standby_names), but no replica is connected."
        )
    elif replicas and not names:
        loss = "a failover may lose the last seconds"
        yield Finding(Level.NOTE, f"Replicas: {replicas}, asynchronously; {loss}.")


def connections(direct: Connection) -> Findings:
    """Compare the server's max connections with the needs of the processes."""
    available = _one(direct, _AVAILABLE_CONNECTIONS)
    background = settings.BACKGROUND_POOL["max_size"]
    requests = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    web = requests + background + STREAM_CONNECTIONS + OWN_CONNECTIONS
    worker = background + job_manager.CONNECTIONS + JOURNAL_CONNECTIONS + OWN_CONNECTIONS
    level = Level.GOOD if available >= web + worker else Level.WRONG
    text = f"The server offers {available} connections; a web process uses up to {web}, a worker up to {worker}."
    yield Finding(level, text if level is Level.GOOD else f"{text} Raise max_connections, or use a pooler.")


def clock(direct: Connection) -> Findings:
    """Compare the clocks of this machine and the database."""
    probe(direct)
    if ahead := server.local_clock_lead():
        which = f"This machine's clock is {clock_difference(ahead)} the database's"
        yield Finding(Level.WRONG, f"{which}, which all processes use: synchronize both by NTP.")


def encryption(connection: Connection, variable: str = "") -> Findings:
    """Report a network connection without encryption, or without verification of the server."""
    if _is_local(connection.info.host):
        return
    variable = variable or ("DATABASE_DIRECT_URL" if settings.DATABASE_DIRECT_URL else "DATABASE_URL")
    fix = f"add ?sslmode=verify-full&sslrootcert=… to {variable}"
    if not connection.pgconn.ssl_in_use:
        yield Finding(Level.NOTE, f"The connection is not encrypted: {fix}.")
    elif connection.info.get_parameters().get("sslmode") != "verify-full":
        yield Finding(Level.NOTE, f"The connection is encrypted, but the server's identity is not verified: {fix}.")


def migrations() -> Findings:
    """Compare the applied migrations with this version of the product."""
    if is_legacy(django_connection):
        yield Finding(Level.WRONG, str(LegacyDatabase()))
        return
    executor = MigrationExecutor(django_connection)
    known = set(executor.loader.disk_migrations)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    apps = {app for app, _ in known}
    newer = [
        f"{app}.{name}" for app, name in executor.loader.applied_migrations if app in apps and (app, name) not in known
    ]
    if missing:
        yield Finding(Level.WRONG, f"{len(missing)} migrations are missing: run manage.py migrate.")
    elif newer:
        yield Finding(
            Level.WRONG, f"The database belongs to a newer version, which has {sorted(newer)[0]}: install that version."
        )
    else:
        yield Finding(Level.GOOD, "All migrations are applied.")


CHECKS: tuple[Callable[[Connection], Findings], ...] = (
    version,
    writable,
    encoding,
    rights,
    durability,
    connections,
    clock,
    encryption,
)
_HARMS = {
    "fsync": "a crash of the machine can destroy the database",
    "full_page_writes": "a crash of the machine can destroy the database",
    "synchronous_commit": "a crash loses the last commits",
}
_MISSING_RIGHTS = """
SELECT relation.oid::regclass::text FROM pg_class AS relation
WHERE relation.relnamespace = current_schema()::regnamespace AND CASE relation.relkind
  WHEN 'r' THEN NOT (
    has_table_privilege(relation.oid, 'SELECT') AND has_table_privilege(relation.oid, 'INSERT')
    AND has_table_privilege(relation.oid, 'UPDATE') AND has_table_privilege(relation.oid, 'DELETE')
  )
  WHEN 'S' THEN NOT has_sequence_privilege(relation.oid, 'USAGE')
  ELSE false END
ORDER BY 1
"""
_AVAILABLE_CONNECTIONS = """
SELECT least(
  (SELECT sum(CASE name WHEN 'max_connections' THEN setting::integer ELSE -setting::integer END) FROM pg_settings
   WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
  (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
  (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
)
"""


def _one(connection: Connection, statement: str, *parameters: object) -> Any:
    row = connection.execute(statement.encode(), parameters or None).fetchone()
    return row[0] if row else None


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
