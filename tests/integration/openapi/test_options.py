"""OPTIONS is no method of the API: each address refuses it, and none fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from django.test import Client

from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db


def test_every_address_refuses_options(ada: Caller, caller: Callable[..., Caller]) -> None:
    paths = Client().get("/api/v1/openapi.json").json()["paths"]
    assert len(paths) > 50
    staff = caller("root", staff=True)
    found = {}
    for path in paths:
        address = re.sub(r"\{[^}]*id\}", str(UUID(int=1)), path)
        address = re.sub(r"\{(version|number)\}", "1", address)
        address = re.sub(r"\{[^}]*\}", "a", address)
        for who in (ada, staff):
            response = Client().options(address, headers={"Authorization": f"Bearer {who.token}"})
            found[path, who.user.username] = (response.status_code, response.headers.get("Content-Type"))
            assert "OPTIONS" not in response.headers.get("Allow", "")
    answers = {each for (path, _), each in found.items() if not path.endswith("/stream")}
    assert answers == {(405, "application/problem+json")}, found
