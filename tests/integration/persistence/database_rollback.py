"""A database that loses confirmed commits, as after an asynchronous failover."""

from __future__ import annotations

import time

from django.apps import apps
from django.db import connection

from common.database.server import server

APPS = ("executions", "documents", "telemetry")


def keep_tables() -> None:
    """Keep the rows of our tables as they are now, for `restore_tables`."""
    with connection.cursor() as cursor:
        for table in _tables():
            cursor.execute(f'DROP TABLE IF EXISTS "kept_{table}"')
            cursor.execute(f'CREATE TABLE "kept_{table}" AS TABLE "{table}"')


def restore_tables(*, noticed: bool = True) -> None:
    """Lose what was stored since then, and have this process see another server than before, if it is noticed."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no trigger, no foreign key
        for table in _tables():
            cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608 - of our own tables
            cursor.execute(f'INSERT INTO "{table}" SELECT * FROM "kept_{table}"')  # noqa: S608
            cursor.execute(f'DROP TABLE "kept_{table}"')
        cursor.execute("SET session_replication_role = DEFAULT")
    if noticed:
        server.record_probe(time.time(), time.time(), asked_at=0.0)


def _tables() -> list[str]:
    models = [each for name in APPS for each in apps.get_app_config(name).get_models()]
    return [each._meta.db_table for each in models if each._meta.managed]
