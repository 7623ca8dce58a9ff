"""Ada, and a browser in which she is logged in."""

from __future__ import annotations

import pytest
from django.test import Client

from access.services import ensure_user
from access.user import User


@pytest.fixture
def ada(db: None) -> User:
    """A user."""
    return ensure_user(name="ada")


@pytest.fixture
def browser(ada: User) -> Client:
    """A browser in which she is logged in."""
    client = Client()
    client.force_login(ada)
    return client
