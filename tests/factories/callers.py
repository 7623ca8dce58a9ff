"""People who use the API with a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from access.services import ensure_user, issue_token
from access.user import User
from tests.support import openapi_answers


@dataclass(frozen=True)
class Caller:
    """A client of the API; each response is validated against the OpenAPI document."""

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

    def patch(self, path: str, body: object, *, content_type: str = "application/json", **headers: str) -> Any:
        """Change; a body of another type than JSON is encoded by the caller."""
        given = self._headers(headers)
        return self._checked(self.http.patch(f"/api/v1{path}", body, content_type=content_type, headers=given))

    def put(self, path: str, body: object, **headers: str) -> Any:
        """Replace."""
        given = self._headers(headers)
        return self._checked(self.http.put(f"/api/v1{path}", body, content_type="application/json", headers=given))

    def upload(self, data: bytes, *, name: str = "brief.txt", part: str = "file", **headers: str) -> Any:
        """Upload a file."""
        return self.send_form({part: SimpleUploadedFile(name, data)}, **headers)

    def send_form(self, parts: Mapping[str, Any], **headers: str) -> Any:
        """Send a form with any parts to the place of uploads."""
        return self._checked(self.http.post("/api/v1/files", parts, headers=self._headers(headers)))

    def delete(self, path: str, **headers: str) -> Any:
        """Delete."""
        return self._checked(self.http.delete(f"/api/v1{path}", headers=self._headers(headers)))

    def _checked(self, response: Any) -> Any:
        openapi_answers.check(response)
        return response

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}


def make_caller(name: str, *, staff: bool = False) -> Caller:
    """Return a user of this name with a token; the user is made when missing."""
    user = ensure_user(name=name, superuser=staff)
    return Caller(user, issue_token(user)[1], Client())
