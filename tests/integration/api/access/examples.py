"""One request for each operation of the API, which succeeds for a caller who may send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.factories import reports
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
_CHANGED = reports.definition("Another description.").model_dump(mode="json", exclude_defaults=True)
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
    "GET /workflows/{}/versions/{}": _plain("/workflows/report/versions/1"),
    "GET /workflows/{}/diff": _plain("/workflows/report/diff?from=1&to=2"),
    "GET /workflows/{}/graph": _plain("/workflows/report/graph"),
    "GET /workflows/{}/export": _plain("/workflows/report/export"),
    "GET /workflows/schema": _plain("/workflows/schema"),
    "POST /workflows": _plain("/workflows", _CHANGED),
    "POST /workflows/validate": _plain("/workflows/validate", _CHANGED),
    "POST /workflows/{}/current": _plain("/workflows/report/current", {"version": 1}),
    "POST /workflows/{}/restore": _plain("/workflows/report/restore", {}),
    "DELETE /workflows/{}": _plain("/workflows/report"),
    "GET /workflows/{}/schema/{}": _plain("/workflows/report/schema/research"),
    "POST /workflows/{}/estimate": _plain("/workflows/report/estimate", {"input": "A tool library."}),
    "GET /telemetry/workflows/{}/stats": _plain("/telemetry/workflows/report/stats"),
    "GET /telemetry/summary": _plain(f"/telemetry/summary?{_RANGE}&group_by=scope"),
    "GET /telemetry/executions": _plain(f"/telemetry/executions?{_RANGE}"),
    "GET /executions": _plain("/executions"),
    "POST /executions": _plain("/executions", _START),
    "GET /clarifications": _plain("/clarifications"),
    "GET /executions/{}": _execution("asking"),
    "GET /executions/{}/steps": _execution("asking", "/steps"),
    "GET /executions/{}/steps/{}/prompt": _execution("asking", "/steps/research/prompt"),
    "GET /executions/{}/events": _execution("asking", "/events"),
    "GET /executions/{}/calls": _execution("finished", "/calls"),
    "GET /executions/{}/calls/{}": lambda world, _: Ask(
        f"/executions/{world.executions['finished'].id}/calls/{world.call}"
    ),
    "GET /inbox": _plain("/inbox"),
    "GET /inbox/stream": _plain("/inbox/stream"),
    "POST /inbox/{}/dismiss": lambda world, _: Ask(f"/inbox/{world.failure}/dismiss", {}),
    "POST /executions/{}/steps/{}/assign": _execution(
        "deciding", "/steps/research/assign", {"assignees": ["reviewer"]}
    ),
    "POST /steps/bulk": lambda world, _: Ask(
        "/steps/bulk",
        {
            "action": "accept",
            "items": [
                {
                    "execution_id": str(world.executions["deciding"].id),
                    "step_id": "research",
                    "document_version": 1,
                }
            ],
        },
    ),
    "GET /scopes": _plain("/scopes"),
    "GET /scopes/{}/{}": _plain(f"/scopes/project/{KEY}"),
    "PUT /scopes/{}/{}/budget": _plain(f"/scopes/project/{KEY}/budget", {"max_cost_usd": "50"}),
    "PUT /scopes/{}/{}/retention": _plain(f"/scopes/project/{KEY}/retention", {"days": 365}),
    "GET /scopes/{}/{}/roles": _plain(f"/scopes/project/{KEY}/roles"),
    "PUT /scopes/{}/{}/roles/{}": _plain(f"/scopes/project/{KEY}/roles/stranger", {"role": "viewer"}),
    "DELETE /scopes/{}/{}/roles/{}": _plain(f"/scopes/project/{KEY}/roles/viewer"),
    "GET /scopes/{}/{}/invitations": _plain(f"/scopes/project/{KEY}/invitations"),
    "POST /scopes/{}/{}/invitations": _plain(f"/scopes/project/{KEY}/invitations", {"role": "viewer"}),
    "DELETE /scopes/{}/{}/invitations/{}": lambda world, _: Ask(
        f"/scopes/project/{KEY}/invitations/{world.invitation}"
    ),
    "POST /invitations/accept": lambda world, _: Ask("/invitations/accept", {"token": world.invitation_token}),
    "GET /audit": _plain("/audit"),
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
    "DELETE /executions/{}": _execution("finished"),
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
