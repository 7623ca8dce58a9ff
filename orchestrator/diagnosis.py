"""What `manage.py doctor` looks at: each function asks the database one thing, and says in sentences what is wrong."""

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
from executions.queue import connector

OLDEST, NEWEST = 15, 18  # major versions of PostgreSQL that the product has been tried with
LISTEN_SECONDS = 5.0  # within which a notification has to come
OWN_CONNECTIONS = 2  # one that listens, one that notifies
JOURNAL_CONNECTIONS = 2

Connection = psycopg.Connection[tuple[Any, ...]]
Found = Iterator["Finding"]


class Level(StrEnum):
    """How bad it is."""

    GOOD = "ok"
    NOTE = "note"  # it works, and could be better
    WRONG = "WRONG"  # it must be mended


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence or two about the installation."""

    level: Level
    text: str


def examine() -> Found:
    """Yield what is found; nothing is changed."""
    try:
        with psycopg.connect(**connection_parameters(), autocommit=True) as usual:
            yield from pooler(usual)
            with psycopg.connect(**direct_parameters(), autocommit=True) as direct:
                yield from together(usual, direct)
                for each in LOOKS:
                    yield from each(direct)
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        yield Finding(Level.WRONG, f"A URL has an option that cannot be read: {error}.")
    except psycopg.OperationalError as error:
        yield from unreachable(" ".join(str(error).split()))
    else:
        yield from migrations()


def unreachable(reason: str) -> Found:
    """Say why there is no connection."""
    if "startup parameter" in reason:
        reason = f"{reason}. A pooler is in between: set DATABASE_DIRECT_URL to the server's own URL as well"
    yield Finding(Level.WRONG, f"The database cannot be reached: {reason}.")


def pooler(usual: Connection) -> Found:
    """Tell whether a pooler is in between: it makes up the process that it names to its clients."""
    pid = _one(usual, "SELECT pg_backend_pid()")
    is_pooled = pid != usual.info.backend_pid
    if is_pooled and not settings.DATABASE_DIRECT_URL:
        yield Finding(
            Level.WRONG, "DATABASE_URL leads through a pooler: set DATABASE_DIRECT_URL to the server's own URL."
        )
    elif is_pooled:
        yield Finding(Level.GOOD, "DATABASE_URL leads through a pooler.")
        if (zone := _one(usual, "SELECT current_setting('TimeZone')")) not in {"UTC", "Etc/UTC"}:
            fix = f"ALTER ROLE {usual.info.user} SET TimeZone = 'UTC'"
            text = f"Sessions of the pooler are in the time zone {zone}; some poolers mix it up with ours: {fix}."
            yield Finding(Level.NOTE, text)
        for name in ("idle_in_transaction_session_timeout", "statement_timeout"):
            if _one(usual, "SELECT setting::bigint FROM pg_settings WHERE name = %s", name) == 0:
                fix = f"ALTER ROLE {usual.info.user} SET {name} = '25s'"
                yield Finding(Level.NOTE, f"Sessions of the pooler have no {name}: {fix}.")
    elif settings.DATABASE_DIRECT_URL:
        yield Finding(Level.NOTE, "DATABASE_DIRECT_URL is set, and DATABASE_URL leads through no pooler.")
    if _one(usual, "SELECT current_setting('jit')") == "on":
        fix = f"ALTER ROLE {usual.info.user} SET jit = off"
        yield Finding(Level.NOTE, f"Statements are compiled (JIT), which takes longer than to carry them out: {fix}.")


def together(usual: Connection, direct: Connection) -> Found:
    """Look at what two URLs must have in common."""
    different = [*same_database(usual, direct)]
    yield from different or notifications(usual, direct)
    if settings.DATABASE_DIRECT_URL:
        yield from encryption(usual, "DATABASE_URL")


def same_database(usual: Connection, direct: Connection) -> Found:
    """Tell two URLs that lead to different databases, or to a server and its replica."""
    which = "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || current_database()"
    since = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    fix = "set DATABASE_DIRECT_URL to the one that DATABASE_URL leads to"
    try:
        is_other = _one(usual, which) != _one(direct, which)
    except psycopg.errors.InsufficientPrivilege:
        is_other = _one(usual, "SELECT current_database()") != _one(direct, "SELECT current_database()")
    if is_other:
        yield Finding(Level.WRONG, f"DATABASE_URL and DATABASE_DIRECT_URL lead to different databases: {fix}.")
    elif _one(usual, since) != _one(direct, since):
        if _one(usual, "SELECT pg_is_in_recovery()"):
            fix = "set DATABASE_URL to the one that DATABASE_DIRECT_URL leads to, which takes writes"
        yield Finding(Level.WRONG, f"DATABASE_URL and DATABASE_DIRECT_URL lead to a server and its replica: {fix}.")


def notifications(usual: Connection, direct: Connection) -> Found:
    """See whether a notification that is sent over the usual connection is heard over the direct one."""
    if _one(direct, "SELECT pg_is_in_recovery()"):
        return  # a replica takes neither; `writable` tells of it
    direct.execute("LISTEN scriptorium_doctor")
    usual.execute("NOTIFY scriptorium_doctor")
    if any(True for _ in direct.notifies(timeout=LISTEN_SECONDS, stop_after=1)):
        yield Finding(Level.GOOD, "Notifications are heard.")
    else:
        yield Finding(Level.WRONG, "LISTEN hears nothing: DATABASE_DIRECT_URL has to lead to the server itself.")


def version(direct: Connection) -> Found:
    """Look at the server's version."""
    major = direct.info.server_version // 10_000
    if major < OLDEST:
        yield Finding(Level.WRONG, f"PostgreSQL {major} is too old: {OLDEST} or newer is needed.")
    elif major > NEWEST:
        yield Finding(Level.NOTE, f"PostgreSQL {major} has not been tried; {OLDEST} to {NEWEST} have.")
    else:
        yield Finding(Level.GOOD, f"PostgreSQL {major}.")


def writable(direct: Connection) -> Found:
    """Tell a server that takes no writes."""
    hosts = "name all servers in DATABASE_URL, with ?target_session_attrs=read-write"
    if _one(direct, "SELECT pg_is_in_recovery()"):
        yield Finding(Level.WRONG, f"The server is a replica, or recovers from a crash, and takes no writes: {hosts}.")
    elif _one(direct, "SELECT current_setting('transaction_read_only')") == "on":
        fix = "set default_transaction_read_only to off, for the server or the role"
        yield Finding(Level.WRONG, f"Transactions are read-only by default: {fix}.")
    else:
        yield Finding(Level.GOOD, "The server takes writes.")


def encoding(direct: Connection) -> Found:
    """Look at the encoding of the database."""
    if (found := _one(direct, "SELECT current_setting('server_encoding')")) != "UTF8":
        yield Finding(Level.WRONG, f"The database is in {found}: make one with ENCODING 'UTF8' TEMPLATE template0.")


def rights(direct: Connection) -> Found:
    """Look at what the role may do."""
    role = direct.info.user
    if _one(direct, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield Finding(Level.NOTE, f"The role {role} is a superuser, and needs no such rights.")
    if not _one(direct, "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"):
        fix = "migrate as the owner of the database, or GRANT CREATE ON SCHEMA public"
        yield Finding(Level.NOTE, f"The role {role} cannot migrate, as it may create no table: {fix}.")
    missing = direct.execute(_MISSING_RIGHTS).fetchall()
    if missing:
        names = ", ".join(name for (name,) in missing[:3])
        more = " and others" if len(missing) > 3 else ""
        yield Finding(
            Level.WRONG, f"The role {role} may not read and write {names}{more}: GRANT it, or be their owner."
        )


def durability(direct: Connection) -> Found:
    """Tell a server that can lose what it has confirmed."""
    for name, harm in _HARMS.items():
        if _one(direct, "SELECT current_setting(%s)", name) == "off":
            yield Finding(Level.WRONG, f"{name} is off: {harm}.")
    replicas = _one(direct, "SELECT count(*) FROM pg_stat_replication")
    names = _one(direct, "SELECT current_setting('synchronous_standby_names')")
    if names and not replicas:
        yield Finding(
            Level.WRONG, f"Commits wait for {names!r} (synchronous_standby_names), and no replica is connected."
        )
    elif replicas and not names:
        loss = "when one of them takes over, the last seconds may be lost"
        yield Finding(Level.NOTE, f"Replicas that follow: {replicas}, asynchronously; {loss}.")


def connections(direct: Connection) -> Found:
    """Compare the connections that the server gives with those that processes take."""
    given = _one(direct, _GIVEN_CONNECTIONS)
    background = settings.BACKGROUND_POOL["max_size"]
    requests = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    web = requests + background + STREAM_CONNECTIONS + OWN_CONNECTIONS
    worker = background + connector.CONNECTIONS + JOURNAL_CONNECTIONS + OWN_CONNECTIONS
    level = Level.GOOD if given >= web + worker else Level.WRONG
    text = f"The server gives {given} connections; a web process takes up to {web}, a worker up to {worker}."
    yield Finding(level, text if level is Level.GOOD else f"{text} Set max_connections higher, or use a pooler.")


def clock(direct: Connection) -> Found:
    """Compare the clocks."""
    probe(direct)
    if ahead := server.local_clock_lead():
        which = f"This machine's clock is {clock_difference(ahead)} the database's"
        yield Finding(Level.WRONG, f"{which}, which is the one that counts: set both by NTP.")


def encryption(connection: Connection, variable: str = "") -> Found:
    """Tell a connection over a network that others can read, or whose server has not proved who it is."""
    if _is_local(connection.info.host):
        return
    variable = variable or ("DATABASE_DIRECT_URL" if settings.DATABASE_DIRECT_URL else "DATABASE_URL")
    fix = f"add ?sslmode=verify-full&sslrootcert=… to {variable}"
    if not connection.pgconn.ssl_in_use:
        yield Finding(Level.NOTE, f"The connection is not encrypted: {fix}.")
    elif connection.info.get_parameters().get("sslmode") != "verify-full":
        yield Finding(Level.NOTE, f"The connection is encrypted, and its server has not proved who it is: {fix}.")


def migrations() -> Found:
    """Compare the tables with this version of the product."""
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
            Level.WRONG, f"The database is of a newer version, which has {sorted(newer)[0]}: install that one."
        )
    else:
        yield Finding(Level.GOOD, "All migrations are applied.")


LOOKS: tuple[Callable[[Connection], Found], ...] = (
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
    "synchronous_commit": "a crash loses what was confirmed a moment before",
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
_GIVEN_CONNECTIONS = """
SELECT least(
  (SELECT sum(CASE name WHEN 'max_connections' THEN setting::integer ELSE -setting::integer END) FROM pg_settings
   WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
  (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
  (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
)
"""


def _one(connection: Connection, question: str, *parameters: object) -> Any:
    row = connection.execute(question.encode(), parameters or None).fetchone()
    return row[0] if row else None


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
