"""Runs each contract test in memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executions.persistence import notifier
from executions.persistence.journal import connection
from tests.contract.backends import MemoryWorld, PostgresWorld


@pytest.fixture(
    params=[
        pytest.param(MemoryWorld, id="memory"),
        pytest.param(PostgresWorld, id="postgres", marks=pytest.mark.django_db(transaction=True)),
    ]
)
def world_of(request: pytest.FixtureRequest) -> type[MemoryWorld] | type[PostgresWorld]:
    """The kind of world: each test runs in both."""
    kind: type[MemoryWorld] | type[PostgresWorld] = request.param
    return kind


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let the notifier's connection go, so that the database can be emptied."""
    yield
    notifier.stop()
    connection.close()
