"""Every POST that creates or decides runs once per `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from access.errors import IdempotencyKeyReused, IdempotencySecret
from access.idempotency import run_once
from access.models import AuditEntry, KeptAnswer, ScopeRole
from access.permissions import Role
from common.errors import Forbidden
from documents.models import DocumentComment, DocumentVersion, File
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.workflows import plan
from tests.integration.api.checks import counts, grant
from tests.support.two_connections import elsewhere

pytestmark = pytest.mark.django_db

KEY = {"Idempotency_Key": "5d8a1b4e"}
NEW = {"scope_type": "project", "scope_id": "alpha", "type": "plan", "content": {"title": "The plan"}}
#: What POSTs without a key do.
EXCEPTIONS = {
    "/auth/token": "its answer is a secret: each request makes another token",
    "/executions/{execution_id}/stream-tickets": "its answer is a secret, and nothing is stored",
    "/scopes/{scope_type}/{scope_id}/stream-tickets": "its answer is a secret, and nothing is stored",
    "/workflows/{workflow_id}/estimate": "nothing is stored",
    "/workflows/validate": "nothing is stored",
    "/me/password": "the old password does not fit a second time",
}
#: Path, body and headers of one request.
Sent = tuple[str, Any, dict[str, str]]


def started(ada: Caller) -> Sent:
    return "/executions/", {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A."}, {}


def bulk(ada: Caller) -> Sent:
    return "/executions/bulk", {"action": "cancel", "ids": [str(reports.start(ada.user).id)]}, {}


def answered(ada: Caller) -> Sent:
    path = f"/executions/{reports.ask(reports.start(ada.user)).id}/steps/research/clarification"
    return path, {"answers": reports.GOOD_ANSWERS}, {}


def decided(ada: Caller) -> Sent:
    reports.publish(gated=True)
    path = f"/executions/{reports.hand_in(reports.start(ada.user)).id}/steps/research/acceptance"
    return path, {"decision": "accept", "document_version": 1}, {}


def cancelled(ada: Caller) -> Sent:
    return f"/executions/{reports.start(ada.user).id}/cancel", {}, {}


def retried(ada: Caller) -> Sent:
    return f"/executions/{reports.fail(reports.start(ada.user)).id}/retry", {}, {}


def added(ada: Caller) -> Sent:
    return "/documents/", NEW, {}


def made(ada: Caller) -> str:
    document_id: str = ada.post("/documents/", NEW).json()["id"]
    return document_id


def restored(ada: Caller) -> Sent:
    document_id = made(ada)
    ada.put(f"/documents/{document_id}", {"content": {"title": "Another plan"}}, If_Match='"1"')
    return f"/documents/{document_id}/restore", {"version": 1}, {"If_Match": '"2"'}


def commented(ada: Caller) -> Sent:
    return f"/documents/{made(ada)}/comments", {"pointer": "/title", "text": "Why?"}, {}


#: By path of the OpenAPI document: what prepares a request, its body with another meaning, and the least role.
REQUESTS: dict[str, tuple[Callable[[Caller], Sent], Any, Role]] = {
    "/executions": (started, {"tags": ["a"]}, Role.OPERATOR),
    "/executions/bulk": (bulk, {"action": "retry"}, Role.OPERATOR),
    "/executions/{execution_id}/steps/{step_id}/clarification": (answered, {"answers": {}}, Role.REVIEWER),
    "/executions/{execution_id}/steps/{step_id}/acceptance": (decided, {"comment": "Good."}, Role.REVIEWER),
    "/executions/{execution_id}/cancel": (cancelled, None, Role.OPERATOR),
    "/executions/{execution_id}/retry": (retried, {"from_step": "research"}, Role.OPERATOR),
    "/documents": (added, {"note": "First."}, Role.REVIEWER),
    "/documents/{id}/restore": (restored, {"note": "Back."}, Role.REVIEWER),
    "/documents/{id}/comments": (commented, {"text": "Who?"}, Role.REVIEWER),
}


def inbox_entry(ada: Caller, execution_id: object) -> str:
    [entry] = [each for each in ada.get("/inbox/").json()["data"] if each["execution_id"] == str(execution_id)]
    return str(entry["id"])


def dismissed(ada: Caller) -> tuple[str, Any]:
    return f"/inbox/{inbox_entry(ada, reports.fail(reports.start(ada.user)).id)}/dismiss", {}


def assigned(ada: Caller) -> tuple[str, Any]:
    return f"/executions/{reports.ask(reports.start(ada.user)).id}/steps/research/assign", {"assignees": ["ada"]}


def accepted(ada: Caller) -> tuple[str, Any]:
    reports.publish(gated=True)
    waiting = {"execution_id": str(reports.hand_in(reports.start(ada.user)).id), "step_id": "research"}
    return "/steps/bulk", {"action": "accept", "items": [{**waiting, "document_version": 1}]}


def joined(ada: Caller) -> tuple[str, Any]:
    url = ada.post("/scopes/project/alpha/invitations", {"role": "viewer"}).json()["url"]
    return "/invitations/accept", {"token": url.rstrip("/").rpartition("/")[2]}


#: By path of the OpenAPI document: the path and the body of a request of staff, which is sent twice.
OTHERS: dict[str, Callable[[Caller], tuple[str, Any]]] = {
    "/workflows": lambda _: ("/workflows", plan()),
    "/workflows/{id}/current": lambda _: ("/workflows/report/current", {"version": 1}),
    "/workflows/{id}/restore": lambda _: ("/workflows/report/restore", {}),
    "/inbox/{entry_id}/dismiss": dismissed,
    "/executions/{execution_id}/steps/{step_id}/assign": assigned,
    "/steps/bulk": accepted,
    "/invitations/accept": joined,
}
#: Requests whose answers hold a secret.
SECRETS: dict[str, tuple[str, Any]] = {
    "/me/tokens": ("/me/tokens", {"name": "Import"}),
    "/scopes/{scope_type}/{scope_id}/invitations": ("/scopes/project/alpha/invitations", {"role": "viewer"}),
}


def stored() -> tuple[int, ...]:
    return (*counts(), *(each.objects.count() for each in (DocumentVersion, DocumentComment, File, KeptAnswer)))


def test_every_post_of_the_document_takes_a_key_or_is_a_written_exception() -> None:
    document = Client().get("/api/v1/openapi.json").json()
    posts = {
        path.removeprefix("/api/v1"): {each["name"] for each in operations["post"].get("parameters", [])}
        for path, operations in document["paths"].items()
        if "post" in operations
    }
    takes = {path for path, names in posts.items() if "Idempotency-Key" in names}
    assert posts.keys() - takes == EXCEPTIONS.keys()
    assert takes == REQUESTS.keys() | OTHERS.keys() | SECRETS.keys() | {"/files"}, "send each twice here"


def test_what_staff_send_again_acts_once(report: int, caller: Callable[..., Caller]) -> None:
    ada = caller("ada", staff=True)
    reports.start(ada.user)
    for number, (path, prepare) in enumerate(OTHERS.items()):
        where, body = prepare(ada)
        key = {"Idempotency_Key": f"key-{number}"}
        first = ada.post(where, body, **key)
        assert first.status_code in {200, 201}, (path, first.content)
        before = AuditEntry.objects.count()
        again = ada.post(where, body, **key)
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert (again.headers["Idempotency-Replayed"], AuditEntry.objects.count()) == ("true", before), path


def test_an_answer_with_a_secret_is_given_once(ada: Caller, report: int) -> None:
    reports.start(ada.user)
    for where, body in SECRETS.values():
        assert ada.post(where, body, **KEY).status_code == 201
        before = AuditEntry.objects.count()
        again = ada.post(where, body, **KEY)
        assert (again.status_code, again.json()["code"]) == (409, "idempotency-secret")
        assert AuditEntry.objects.count() == before
    assert not [row for row in KeptAnswer.objects.values_list("answer", flat=True) if row]


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_that_is_sent_again_acts_once(ada: Caller, eve: Caller, report: int, path: str) -> None:
    prepare, change, need = REQUESTS[path]
    reports.start(ada.user)
    grant(eve.user, "alpha", Role.OWNER)
    where, body, headers = prepare(ada)
    first = eve.post(where, body, **headers, **KEY)
    assert (first.status_code in {200, 201}, "Idempotency-Replayed" in first.headers) == (True, False), first.content
    before = stored()
    again = eve.post(where, body, **headers, **KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    if change is not None:
        other = eve.post(where, {**body, **change}, **headers, **KEY)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    for bad in ("", "a b"):
        assert eve.post(where, body, **headers, Idempotency_Key=bad).json()["code"] == "bad-idempotency-key"
    for role, status in ((need, first.status_code), (Role.VIEWER, 403), (None, 404)):
        ScopeRole.objects.filter(user=eve.user).delete()
        if role is not None:
            grant(eve.user, "alpha", role)
        last = eve.post(where, body, **headers, **KEY)
        # a start tells nothing of a scope in which the user has no role
        assert last.status_code == (403 if path == "/executions" and role is None else status), last.content
    grant(eve.user, "alpha", Role.OWNER)
    assert stored() == before


@pytest.mark.django_db(transaction=True)
def test_while_the_first_request_is_under_way_the_second_is_told_to_wait(ada: Caller, report: int) -> None:
    path, body, _ = cancelled(ada)
    with transaction.atomic():
        first = ada.post(path, body, **KEY)
        busy = elsewhere(lambda: ada.post(path, body, **KEY))
    assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (409, "idempotency-key-busy", "1")
    again = ada.post(path, body, **KEY)
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")


def test_files_are_compared_by_their_bytes(ada: Caller) -> None:
    first, again = (ada.upload(b"Lend 400 tools.", **KEY) for _ in range(2))
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert ada.upload(b"Lend 500 tools.", **KEY).json()["code"] == "idempotency-key-reused"
    assert File.objects.count() == 1


def test_a_secret_is_never_stored_and_never_told_twice(ada: Caller) -> None:
    roles = [Role.OWNER]

    def recheck(answer: object) -> None:
        assert answer is None
        if not roles:
            raise Forbidden

    def send(**body: object) -> Response:
        sent = APIRequestFactory().post("/api/v1/me/tokens", body, "json", headers={"Idempotency-Key": "k"})
        request = Request(sent, parsers=[JSONParser()])
        request.user = ada.user
        return run_once(request, lambda: Response({"token": "s3cret"}, status=201), recheck=recheck, is_secret=True)

    assert send(name="laptop").data == {"token": "s3cret"}
    assert "s3cret" not in str(list(KeptAnswer.objects.values()))
    with pytest.raises(IdempotencySecret):
        send(name="laptop")
    with pytest.raises(IdempotencyKeyReused):
        send(name="phone")
    roles.clear()
    with pytest.raises(Forbidden):
        send(name="laptop")
