"""Empties the tables after a test that commits.

Django's `flush` empties all tables, and then makes the content types and permissions of every model again, which takes
most of its time. Here these stay, and a table that is empty is left alone.
"""

from __future__ import annotations

from django.db import connection
from django.test import TransactionTestCase
from psycopg import sql

KEPT = frozenset({"django_content_type", "auth_permission", "django_migrations"})  # what migrations write


def empty_tables(_test: TransactionTestCase) -> None:
    """Remove all rows that a test may have left."""
    with connection.cursor() as cursor:
        if filled := filled_tables():
            names = sql.SQL(", ").join(map(sql.Identifier, filled))
            # The audit log refuses TRUNCATE by a trigger.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
            cursor.execute("RESET session_replication_role")


def filled_tables() -> list[str]:
    """Return the tables that have rows, in order of their names."""
    tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - KEPT)
    looks = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(name), sql.Identifier(name))
        for name in tables
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(looks))
        return [name for (name,) in cursor.fetchall()]


def install() -> None:
    """Have tests that commit use this."""
    TransactionTestCase._fixture_teardown = empty_tables  # type: ignore[attr-defined]
