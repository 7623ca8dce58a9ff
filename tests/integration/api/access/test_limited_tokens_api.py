"""Tokens with rights and scopes: made by their users, and never doing more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from knox.models import AuthToken

from access.models import Token
from access.permissions import ALL_RIGHTS, Role
from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, ids, pointers

pytestmark = pytest.mark.django_db


def limited(caller: Caller, *rights: str, key: str | None = None) -> Caller:
    """Return the caller with a new token."""
    scope = {} if key is None else {"scope_type": "project", "scope_id": key}
    response = caller.post("/me/tokens", {"name": "Import", "rights": list(rights), **scope})
    assert response.status_code == 201, response.content
    return replace(caller, token=response.json()["token"])


def test_a_token_is_shown_once_and_reads_only_unless_more_is_named(ada: Caller) -> None:
    made = ada.post("/me/tokens", {"name": " Nightly  import "}).json()
    assert (made["name"], made["rights"], made["scope_type"]) == ("Nightly  import", ["read"], None)
    listed = ada.get("/me/tokens").json()["data"]
    assert [each["id"] for each in listed] == sorted((each["id"] for each in listed), reverse=True)
    assert listed[0] == {name: value for name, value in made.items() if name != "token"}
    assert listed[1]["rights"] == ["read", "answer", "operate", "author", "manage"]  # the one that asks
    assert made["token"] not in ada.get("/me/tokens").content.decode()
    assert replace(ada, token=made["token"]).get("/workflows").status_code == 200


def test_a_right_that_does_not_reach_is_named(ada: Caller, report: int) -> None:
    execution, reader = reports.start(ada.user), limited(ada, "read")
    for answer in (reader.post(f"/executions/{execution.id}/cancel", {}), limited(ada, "answer").get("/executions")):
        assert (answer.status_code, answer.json()["code"]) == (403, "right-missing")
    refused = reader.post(f"/executions/{execution.id}/cancel", {}).json()
    assert (refused["right"], refused["detail"]) == ("operate", "This needs the right 'operate'.")
    assert Execution.objects.get().status == "pending"
    assert reader.http.head("/api/v1/executions/", headers=reader._headers({})).status_code == 200
    assert reader.http.put("/api/v1/executions/", headers=reader._headers({})).status_code == 405


def test_a_limited_token_makes_no_token_and_touches_no_account(ada: Caller, report: int) -> None:
    reports.start(ada.user)
    every = [each.value for each in ALL_RIGHTS if each != "author"]
    for caller in (limited(ada, *every), limited(ada, *every, key="alpha")):
        for path, body in (("/me/tokens", {"name": "x"}), ("/me/password", {"old_password": "a", "new_password": "b"})):
            answer = caller.post(path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "right-missing")
            assert "all rights without a scope" in answer.json()["detail"]
        assert caller.get("/me/sessions").status_code == 403
    assert limited(ada, *(each.value for each in ALL_RIGHTS)).post("/me/tokens", {"name": "x"}).status_code == 201


@pytest.mark.parametrize("is_staff", [False, True])
def test_a_token_with_a_scope_sees_and_does_nothing_elsewhere(ada: Caller, report: int, is_staff: bool) -> None:
    here, there = reports.finish(reports.start(ada.user, "alpha")), reports.finish(reports.start(ada.user, "beta"))
    ada.user.is_staff = is_staff
    ada.user.save(update_fields=["is_staff"])
    token = limited(ada, "read", "operate", "answer", key="alpha")
    assert set(ids(ada)) == {str(here.id), str(there.id)}
    assert ids(token) == [str(here.id)]
    documents = token.get("/documents").json()["data"]
    assert {each["scope_id"] for each in documents} == {"alpha"}
    assert {each["scope_id"] for each in token.get("/documents", {"q": "findings"}).json()["data"]} == {"alpha"}
    whole, part = (each.get("/telemetry/summary", _RANGE).json()["totals"]["calls"] for each in (ada, token))
    assert (whole, part) == (4, 2)
    for path in (f"/executions/{there.id}", f"/telemetry/executions/{there.id}/costs"):
        assert token.get(path).status_code == 404
    assert token.post("/scopes/project/beta/stream-tickets", {}).status_code == 404
    for key in ("beta", "gamma"):  # another scope, and a new one
        started = token.post("/executions", {"workflow_id": "report", "scope_type": "project", "scope_id": key})
        assert (started.status_code, started.json()["code"]) == (403, "scope-forbidden")
    account = token.get("/me").json()
    assert [each["scope_id"] for each in account["roles"]] == ["alpha"]
    assert (account["scope_id"], account["rights"]) == ("alpha", ["read", "answer", "operate"])


_RANGE = {"from": "2020-01-01T00:00:00Z", "to": "2040-01-01T00:00:00Z"}


def test_a_token_does_no_more_than_its_user(ada: Caller, eve: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    grant(eve.user, "alpha", Role.VIEWER)
    token = limited(eve, "read", "operate", "answer", "manage", key="alpha")
    assert token.get(f"/executions/{execution.id}").status_code == 200
    assert token.post(f"/executions/{execution.id}/cancel", {}).json()["code"] == "forbidden"


def test_an_unused_file_is_for_tokens_of_the_same_scope_and_their_user(ada: Caller, report: int) -> None:
    for key in ("alpha", "beta"):
        reports.start(ada.user, key)
    own, other = (limited(ada, "read", "answer", key=key) for key in ("alpha", "beta"))
    by_user, by_token = ada.upload(b"A brief.").json()["id"], own.upload(b"A brief.").json()["id"]
    seen = [[each.get(f"/files/{file}").status_code for file in (by_user, by_token)] for each in (ada, own, other)]
    assert seen == [[200, 200], [404, 200], [404, 404]]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"/name"}),
        ({"name": " "}, {"/name"}),
        ({"name": "x" * 101}, {"/name"}),
        ({"name": "x\u200by"}, {"/name"}),
        ({"name": "x", "rights": []}, {"/rights"}),
        ({"name": "x", "rights": ["read", "everything"]}, {"/rights/1"}),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, {"/expires_at"}),
        ({"name": "x", "expires_at": "2100-01-01T00:00:00Z"}, {"/expires_at"}),
        ({"name": "x", "scope_type": "project"}, {"/scope_id"}),
        ({"name": "x", "scope_type": "project", "scope_id": "not-mine"}, {"/scope_id"}),
        ({"name": "x", "scope_type": "project", "scope_id": "alpha", "rights": ["author"]}, {"/rights"}),
        ({"name": "x", "right": "read"}, {"/right"}),
    ],
)
def test_a_token_that_cannot_be_is_refused_with_the_place(ada: Caller, body: dict[str, Any], wrong: set[str]) -> None:
    response = ada.post("/me/tokens", body)
    assert (response.status_code, pointers(response)) == (422, wrong)
    assert Token.objects.count() == 1


def test_a_token_expires_when_it_was_told_to(ada: Caller) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    made = ada.post("/me/tokens", {"name": "x", "expires_at": soon.isoformat()}).json()
    Token.objects.filter(id=made["id"]).update(expiry=timezone.now() - timedelta(seconds=1))
    assert replace(ada, token=made["token"]).get("/workflows").status_code == 401
    assert made["id"] not in [each["id"] for each in ada.get("/me/tokens").json()["data"]]


def test_only_its_user_revokes_a_token(ada: Caller, eve: Caller) -> None:
    made = ada.post("/me/tokens", {"name": "x"}).json()
    assert eve.delete(f"/me/tokens/{made['id']}").status_code == 404
    assert ada.delete(f"/me/tokens/{made['id']}").status_code == 204
    assert replace(ada, token=made["token"]).get("/workflows").status_code == 401
    assert ada.delete(f"/me/tokens/{made['id']}").status_code == 404


def test_a_token_of_another_program_has_all_rights_and_a_name_for_the_api(ada: Caller) -> None:
    _, text = AuthToken.objects.create(user=ada.user)  # as the admin and older versions make it
    other = replace(ada, token=text)
    assert other.get("/me").json()["rights"] == ["read", "answer", "operate", "manage"]  # Ada is no author
    newest = other.get("/me/tokens").json()["data"][0]
    assert newest["id"][14] == "7"  # the version of the UUID
    assert other.delete(f"/me/tokens/{newest['id']}").status_code == 204
    assert other.get("/me").status_code == 401


@pytest.mark.parametrize("change", [{"rights": []}, {"rights": ["all"]}, {"rights": ["author"], "scoped": True}])
def test_the_database_keeps_no_impossible_token(ada: Caller, report: int, change: dict[str, Any]) -> None:
    reports.start(ada.user)
    values = {"rights": change["rights"], **({"scope": Execution.objects.get().scope} if "scoped" in change else {})}
    with pytest.raises(IntegrityError), transaction.atomic():
        Token.objects.update(**values)
