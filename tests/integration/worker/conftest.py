"""People, and an empty queue."""

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
    """Somebody who starts executions in a scope of her own."""
    return ensure_user(name="ann")


@pytest.fixture
def bob() -> User:
    """Somebody else, with a scope of his own."""
    return ensure_user(name="bob")
