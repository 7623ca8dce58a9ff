"""Users, and an empty queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from access.services import ensure_user
from access.user import User
from executions.persistence import notifier
from executions.persistence.journal import connection
from tests.factories.executions import empty_the_queue


@pytest.fixture(autouse=True)
def quiet(transactional_db: None) -> Iterator[None]:
    """No job of an earlier test, and no connection left over."""
    empty_the_queue()
    yield
    notifier.stop()
    connection.close()


@pytest.fixture
def ann() -> User:
    """A user who starts executions in her own scope."""
    return ensure_user(name="ann")


@pytest.fixture
def bob() -> User:
    """Another user, with his own scope."""
    return ensure_user(name="bob")
