"""The database of each process that runs tests: a copy of one that was migrated once, emptied after tests that commit.

Django's `flush` empties all tables, and then makes the content types and permissions of every model again, which takes
most of its time. Here these stay, and a table that is empty is left alone. Few rows are deleted: TRUNCATE makes new
files for a table and for each of its indexes. That needs a superuser, because triggers and foreign keys must not run.
"""

from __future__ import annotations

import fcntl
import os
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

KEPT = frozenset({"django_content_type", "auth_permission", "django_migrations"})  # what migrations write
TEMPLATE = "test_template"  # the name of the database that was migrated
SMALL_BYTES = 262_144  # of a table; the rows of a larger one are not deleted one by one


def empty_tables(_test: TransactionTestCase) -> None:
    """Remove all rows that a test may have left."""
    if not (filled := filled_tables()):
        return
    small = [name for name, size in filled.items() if size <= SMALL_BYTES and _is_superuser()]
    large = [name for name in filled if name not in small]
    statements: list[sql.Composable] = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in small]
    if _is_superuser():  # the audit log refuses both by a trigger
        statements.insert(0, sql.SQL("SET LOCAL session_replication_role = replica"))
    if large:
        statements.append(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, large))))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("; ").join(statements))


def filled_tables() -> dict[str, int]:
    """Return the sizes in bytes of the tables that have rows, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_looks())
        return dict(cursor.fetchall())


@cache
def _is_superuser() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW is_superuser")
        return cursor.fetchone() == ("on",)


@cache
def _looks() -> sql.Composed:
    tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - KEPT)
    return sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, pg_relation_size({}::regclass) WHERE EXISTS (SELECT FROM {})").format(
            sql.Literal(name), sql.Literal(name), sql.Identifier(name)
        )
        for name in tables
    )


def make() -> None:
    """Make this process its database, and use it from now on."""
    creation: Any = connection.creation
    configured = connection.settings_dict["TEST"]
    own, configured["NAME"] = creation._get_test_db_name(), TEMPLATE
    migrated = Path(os.environ["DATA_DIR"]) / "migrated"
    with migrated.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not migrated.exists():
            creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]
            migrated.touch()
        configured.update(NAME=own, TEMPLATE=TEMPLATE)
        creation._create_test_db(verbosity=0, autoclobber=True)
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = own


def install() -> None:
    """Have tests that commit use this."""
    TransactionTestCase._fixture_teardown = empty_tables  # type: ignore[attr-defined]
