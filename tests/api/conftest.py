"""People with tokens, and a workflow to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from access.services import ensure_user, issue_token
from access.user import User
from tests import promises
from tests.api import scenario


@dataclass(frozen=True)
class Caller:
    """Somebody who uses the API; each answer is held against the OpenAPI document."""

    user: User
    token: str
    http: Client

    def get(self, path: str, query: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """Read."""
        return self._checked(self.http.get(f"/api/v1{path}", query, headers=self._headers(headers)))

    def post(self, path: str, body: object = None, *, content_type: str = "application/json", **headers: str) -> Any:
        """Write; `body` is sent as JSON, and bytes as they are."""
        data = b"" if body is None else body
        given = self._headers(headers)
        return self._checked(self.http.post(f"/api/v1{path}", data, content_type=content_type, headers=given))

    def patch(self, path: str, body: object, **headers: str) -> Any:
        """Change."""
        given = self._headers(headers)
        return self._checked(self.http.patch(f"/api/v1{path}", body, content_type="application/json", headers=given))

    def _checked(self, response: Any) -> Any:
        promises.check(response)
        return response

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}


@pytest.fixture
def caller(db: None) -> Callable[..., Caller]:
    """Makes callers by name."""

    def make(name: str, *, staff: bool = False) -> Caller:
        user = ensure_user(name=name, superuser=staff)
        return Caller(user, issue_token(user)[1], Client())

    return make


@pytest.fixture
def ada(caller: Callable[..., Caller]) -> Caller:
    """Somebody with scopes of her own."""
    return caller("ada")


@pytest.fixture
def eve(caller: Callable[..., Caller]) -> Caller:
    """Somebody who has no role in Ada's scopes."""
    return caller("eve")


@pytest.fixture
def report(db: None) -> int:
    """The version of the published workflow."""
    return scenario.publish()
