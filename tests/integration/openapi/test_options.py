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
        for token in (ada.token, staff.token):
            response = Client().options(address, headers={"Authorization": f"Bearer {token}"})
            found[path] = (response.status_code, response.headers.get("Content-Type"))
            assert "OPTIONS" not in response.headers.get("Allow", "")
    streams = {path: each for path, each in found.items() if path.endswith("/stream")}
    assert {each for path, each in found.items() if path not in streams} == {(405, "application/problem+json")}, found
