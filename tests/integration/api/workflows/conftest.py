"""Fixtures of the tests of workflows over the API."""

from __future__ import annotations

import pytest

from access.user import User
from tests.factories.callers import Caller


@pytest.fixture
def author(ada: Caller) -> Caller:
    """A user who is an author, and not staff."""
    User.objects.filter(pk=ada.user.pk).update(is_author=True)
    return ada
