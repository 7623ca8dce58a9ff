"""One request for each operation of the API, which succeeds for a caller who may send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.factories.reports import GOOD_ANSWERS
from tests.integration.api.access.world import KEY, PASSWORD, Caller, World

NEW_PASSWORD = "another Horse, with a battery"
PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class Ask:
    """What is sent: path below /api/v1, body, headers and format."""

    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    form: str = "json"


def _execution(name: str, rest: str = "", body: Any = None) -> Callable[[World, Caller], Ask]:
    return lambda world, _: Ask(f"/executions/{world.executions[name].id}{rest}", body)


def _document(rest: str = "", body: Any = None, **options: Any) -> Callable[[World, Caller], Ask]:
    return lambda world, _: Ask(f"/documents/{world.document}{rest}", body, {"If-Match": "*"}, **options)


def _file(name: str, rest: str = "") -> Callable[[World, Caller], Ask]:
    return lambda world, _: Ask(f"/files/{world.files[name]}{rest}")


def _plain(path: str, body: Any = None) -> Callable[[World, Caller], Ask]:
    return lambda world, caller: Ask(path, body)


_SCOPE = {"scope_type": "project", "scope_id": KEY}
_START = {"workflow_id": "report", "input": "A tool library.", **_SCOPE}
_DOCUMENT = {"type": "note", "title": "A note", "content": {"text": "Rent it."}, **_SCOPE}
_RANGE = "from=2026-01-01T00:00:00Z&to=2036-01-01T00:00:00Z"

#: By operation, as the table in docs/access.md names it. The names in braces do not count.
EXAMPLES: dict[str, Callable[[World, Caller], Ask]] = {
    "POST /auth/token": lambda _, caller: Ask("/auth/token", {"username": caller.name, "password": PASSWORD}),
    "DELETE /auth/token": _plain("/auth/token"),
    "GET /me": _plain("/me"),
    "PATCH /me": _plain("/me", {"name": "Ada Obi"}),
    "POST /me/password": _plain("/me/password", {"old_password": PASSWORD, "new_password": NEW_PASSWORD}),
    "GET /me/tokens": _plain("/me/tokens"),
    "POST /me/tokens": _plain("/me/tokens", {"name": "Import"}),
    "DELETE /me/tokens/{}": lambda _, caller: Ask(f"/me/tokens/{caller.spare_token}"),
    "GET /me/sessions": _plain("/me/sessions"),
    "DELETE /me/sessions/{}": lambda _, caller: Ask(f"/me/sessions/{caller.session}"),
    "GET /workflows": _plain("/workflows"),
    "GET /workflows/{}": _plain("/workflows/report"),
    "GET /workflows/{}/versions": _plain("/workflows/report/versions"),
    "GET /workflows/{}/schema/{}": _plain("/workflows/report/schema/research"),
    "POST /workflows/{}/estimate": _plain("/workflows/report/estimate", {"input": "A tool library."}),
    "GET /telemetry/workflows/{}/stats": _plain("/telemetry/workflows/report/stats"),
    "GET /telemetry/summary": _plain(f"/telemetry/summary?{_RANGE}&group_by=scope"),
    "GET /executions": _plain("/executions"),
    "POST /executions": _plain("/executions", _START),
    "GET /clarifications": _plain("/clarifications"),
    "GET /executions/{}": _execution("asking"),
    "GET /executions/{}/steps": _execution("asking", "/steps"),
    "GET /executions/{}/steps/{}/prompt": _execution("asking", "/steps/research/prompt"),
    "GET /executions/{}/events": _execution("asking", "/events"),
    "GET /executions/{}/stream": _execution("asking", "/stream"),
    "GET /scopes/{}/{}/stream": _plain(f"/scopes/project/{KEY}/stream"),
    "POST /executions/{}/stream-tickets": _execution("asking", "/stream-tickets", {}),
    "POST /scopes/{}/{}/stream-tickets": _plain(f"/scopes/project/{KEY}/stream-tickets", {}),
    "GET /executions/{}/export": _execution("finished", "/export?format=markdown"),
    "GET /executions/compare": lambda world, _: Ask(
        f"/executions/compare?a={world.executions['finished'].id}&b={world.executions['asking'].id}"
    ),
    "GET /telemetry/executions/{}/costs": lambda world, _: Ask(
        f"/telemetry/executions/{world.executions['finished'].id}/costs"
    ),
    "POST /executions/{}/cancel": _execution("asking", "/cancel", {}),
    "POST /executions/{}/retry": _execution("failed", "/retry", {}),
    "PATCH /executions/{}/budget": _execution("asking", "/budget", {"max_cost_usd": "2"}),
    "POST /executions/bulk": lambda world, _: Ask(
        "/executions/bulk", {"action": "cancel", "ids": [str(world.executions["asking"].id)]}
    ),
    "POST /executions/{}/steps/{}/clarification": _execution(
        "asking", "/steps/research/clarification", {"answers": GOOD_ANSWERS}
    ),
    "POST /executions/{}/steps/{}/acceptance": _execution(
        "deciding", "/steps/research/acceptance", {"decision": "accept", "document_version": 1}
    ),
    "GET /documents": _plain("/documents"),
    "POST /documents": _plain("/documents", _DOCUMENT),
    "GET /documents/{}": _document(),
    "GET /documents/{}/versions": _document("/versions"),
    "GET /documents/{}/versions/{}": _document("/versions/1"),
    "GET /documents/{}/diff": _document("/diff"),
    "PUT /documents/{}": _document(body={"content": {"title": "Another"}}),
    "PATCH /documents/{}": _document(body=[{"op": "replace", "path": "/title", "value": "Another"}], form=PATCH),
    "POST /documents/{}/restore": _document("/restore", {"version": 1}),
    "GET /documents/{}/comments": _document("/comments"),
    "POST /documents/{}/comments": _document("/comments", {"pointer": "/title", "text": "Why?"}),
    "PATCH /documents/{}/comments/{}": lambda world, _: Ask(
        f"/documents/{world.document}/comments/{world.comment}", {"resolved": True}, {"If-Match": "*"}
    ),
    "POST /files": lambda *_: Ask("/files", {"file": SimpleUploadedFile("a.txt", b"A brief.")}, form="multipart"),
    "GET /files/{}": _file("used"),
    "GET /files/{}/content": _file("used", "/content"),
    "DELETE /files/{}": _file("unused"),
}
