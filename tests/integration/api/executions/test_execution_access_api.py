"""Permissions on executions."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from access.permissions import Role
from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, ids

pytestmark = pytest.mark.django_db

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
NOWHERE = str(uuid4())

PATHS = [
    ("get", "/executions/"),
    ("post", "/executions/"),
    ("get", "/executions/{id}"),
    ("get", "/executions/{id}/steps"),
    ("get", "/executions/{id}/events"),
    ("post", "/executions/{id}/steps/research/clarification"),
    ("get", "/clarifications/"),
    ("post", "/executions/{id}/cancel"),
    ("get", "/telemetry/executions/{id}/costs"),
    ("get", "/telemetry/workflows/report/stats"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("token", [None, "Bearer wrong", "Token wrong", "Bearer"])
def test_an_anonymous_client_is_asked_for_a_token(
    ada: Caller, report: int, method: str, path: str, token: str | None
) -> None:
    execution = reports.ask(reports.start(ada.user))
    before = counts()
    headers = {} if token is None else {"Authorization": token}
    response = getattr(ada.http, method)(f"/api/v1{path.format(id=execution.id)}", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] in {"Bearer", "Token"}
    assert response.headers["Content-Type"] == "application/problem+json"
    assert counts() == before


@pytest.mark.parametrize("prefix", ["Bearer", "Token", "bearer"])
def test_a_token_is_taken_after_either_word(ada: Caller, prefix: str) -> None:
    assert ada.get("/executions/", Authorization=f"{prefix} {ada.token}").status_code == 200


def test_a_browser_session_reads_and_needs_its_csrf_token_to_write(ada: Caller, report: int) -> None:
    browser = type(ada.http)(enforce_csrf_checks=True)
    browser.force_login(ada.user)
    assert browser.get("/api/v1/executions/").status_code == 200
    refused = browser.post("/api/v1/executions/", BODY, content_type="application/json")
    assert refused.status_code == 403
    assert Execution.objects.count() == 0


@pytest.mark.parametrize(("method", "path"), [each for each in PATHS if "{id}" in each[1]])
def test_what_is_not_yours_cannot_be_told_from_what_does_not_exist(
    ada: Caller, eve: Caller, report: int, method: str, path: str
) -> None:
    execution = reports.ask(reports.start(ada.user))
    before = counts()
    body = {"answers": reports.GOOD_ANSWERS} if "clarification" in path else None
    arguments = (body,) if method == "post" else ()
    theirs = getattr(eve, method)(path.format(id=execution.id), *arguments)
    nobodys = getattr(ada, method)(path.format(id=NOWHERE), *arguments)
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    different = {"instance", "request_id"}
    bodies = [{k: v for k, v in each.json().items() if k not in different} for each in (theirs, nobodys)]
    assert bodies[0] == bodies[1]
    assert counts() == before


def test_lists_hold_what_the_caller_may_see(
    ada: Caller, eve: Caller, caller: Callable[..., Caller], report: int
) -> None:
    mine, theirs = reports.start(ada.user), reports.start(eve.user, key="beta")
    assert ids(ada) == [str(mine.id)]
    assert ids(caller("root", staff=True)) == [str(theirs.id), str(mine.id)]
    grant(ada.user, "beta", Role.VIEWER)
    assert ids(ada) == [str(theirs.id), str(mine.id)]
    assert ada.get(f"/executions/{theirs.id}/steps").status_code == 200


@pytest.mark.parametrize("path", ["/executions/17", "/executions/not-an-id/steps", "/executions/{id}/nothing"])
def test_a_path_that_is_none_is_not_found(ada: Caller, report: int, path: str) -> None:
    response = ada.get(path.format(id=reports.start(ada.user).id))
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_method_that_a_path_does_not_know_is_refused(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    assert ada.get(f"/executions/{execution.id}/cancel").status_code == 405
    assert Execution.objects.get(id=execution.id).status == "pending"
