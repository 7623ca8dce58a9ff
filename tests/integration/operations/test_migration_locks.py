"""A migration that has to wait for a long reader holds up no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from executions.models import Execution
from tests.support.two_connections import DEADLINE_SECONDS, blocked, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE, TARGET = "0018_file_indexes", "0019_brief_hash"


def migrate(name: str) -> None:
    call_command("migrate", "executions", name, verbosity=0)


def is_applied() -> bool:
    return ("executions", TARGET) in MigrationExecutor(connection).loader.applied_migrations


def running() -> int:
    return Execution.objects.filter(status="running").count()


@pytest.fixture
def older(transactional_db: None) -> Iterator[None]:
    """A database to which the migration, which adds a column, was not applied."""
    migrate(BEFORE)
    yield
    call_command("migrate", "executions", verbosity=0)


def test_others_read_while_a_migration_waits_for_a_long_reader(older: None) -> None:
    with ExitStack() as stack:
        with transaction.atomic():
            running()
            future = stack.enter_context(blocked(lambda: migrate(TARGET)))
            assert elsewhere(running) == 0
            assert not future.done()
        future.result(DEADLINE_SECONDS)
    assert is_applied()


def test_the_limit_is_gone_after_it(older: None) -> None:
    migrate(TARGET)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_limit_of_the_role_does_not_end_a_migration(older: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        [(before,)] = cursor.fetchall()
        cursor.execute("SET statement_timeout = '1ms'")
    migrate(TARGET)
    assert is_applied()
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == (before,)
