"""A start with an `Idempotency-Key` happens once, however often it is sent."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import KeptAnswer, ScopeRole
from access.permissions import Role
from access.services import remove_old_answers
from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant
from tests.support import openapi_answers

pytestmark = pytest.mark.django_db

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def start(caller: Caller, key: str | None = KEY, path: str = "/executions/", **change: Any) -> Any:
    headers = {} if key is None else {"Idempotency_Key": key}
    return caller.post(path, {**BODY, **change}, **headers)


@pytest.mark.parametrize("path", ["/executions/", "/executions"])
def test_the_same_request_again_gets_the_first_answer_again(ada: Caller, report: int, path: str) -> None:
    first = start(ada)
    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (201, False)
    reports.cancel(ada.user, Execution.objects.get().id)  # the answer stays the first one
    before = counts()
    again = start(ada, path=path)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert counts() == before


def test_without_a_key_each_request_starts_one(ada: Caller, report: int) -> None:
    assert start(ada, None).json()["execution_id"] != start(ada, None).json()["execution_id"]
    assert KeptAnswer.objects.count() == 0


@pytest.mark.parametrize(
    "change", [{"input": "Another brief."}, {"tags": ["a"]}, {"dry_run": False}, {"input": {"a": 1}}]
)
def test_a_key_with_another_body_is_refused(ada: Caller, report: int, change: dict[str, Any]) -> None:
    start(ada)
    before = counts()
    response = start(ada, **change)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")
    assert counts() == before
    assert start(ada).status_code == 201  # the first one is still there


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a": 1, "b": "\xc3\xa9"}', b'{ "b":"\\u00e9" , "a":1.0 }', True),
        (b'{"a": 10}', b'{"a": 1e1}', True),
        (b'{"a": 0}', b'{"a": -0.0}', True),
        (b'{"a": 1}', b'{"a": true}', False),
        (b'{"a": 1}', b'{"a": "1"}', False),
        (b'{"a": [1, 2]}', b'{"a": [2, 1]}', False),
        (b'{"a": null}', b"{}", False),
        (b'{"a": 0.1}', b'{"a": 0.10000000000000001}', True),
        (b'{"a": 9007199254740993}', b'{"a": 9007199254740992.0}', False),
    ],
)
def test_bodies_are_the_same_when_their_values_are(
    ada: Caller, report: int, one: bytes, other: bytes, same: bool
) -> None:
    def send(brief: bytes) -> Any:
        whole = json.dumps(BODY).encode().replace(b'"A tool library."', b'{"x": %s}' % brief)
        return ada.post("/executions/", whole, Idempotency_Key=KEY)

    assert send(one).status_code == 201
    assert send(other).status_code == (201 if same else 422)
    assert Execution.objects.count() == 1


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "!~", "a,b"])
def test_a_key_is_any_visible_ascii(ada: Caller, report: int, key: str) -> None:
    assert start(ada, key).status_code == 201
    assert start(ada, key).headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "schlüssel", "a\x7f"])
def test_another_key_is_refused_and_changes_nothing(ada: Caller, report: int, key: str) -> None:
    before = counts()
    response = start(ada, key)
    assert (response.status_code, response.json()["code"]) == (400, "bad-idempotency-key")
    assert counts() == before


@pytest.mark.parametrize(
    "wrong", [{"input": "  "}, {"workflow_id": "no-such-workflow"}, {"scope_id": "of-eve"}, {"typo": 1}]
)
def test_a_refused_request_leaves_no_key(ada: Caller, eve: Caller, report: int, wrong: dict[str, Any]) -> None:
    reports.start(eve.user, key="of-eve")
    assert start(ada, **wrong).status_code in {403, 404, 422}
    assert KeptAnswer.objects.count() == 0
    good = start(ada)
    assert (good.status_code, "Idempotency-Replayed" in good.headers) == (201, False)


def test_a_key_belongs_to_one_user(ada: Caller, eve: Caller, report: int) -> None:
    first = start(ada)
    other = start(eve, scope_id="beta")
    assert (other.status_code, "Idempotency-Replayed" in other.headers) == (201, False)
    assert other.json()["execution_id"] != first.json()["execution_id"]


def test_a_key_belongs_to_a_user_and_not_to_a_token(ada: Caller, report: int) -> None:
    first = start(ada)
    browser = Client()
    browser.force_login(ada.user)
    again = browser.post("/api/v1/executions/", BODY, "application/json", headers={"Idempotency-Key": KEY})
    openapi_answers.check(again)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    ("role", "status"), [(None, 403), (Role.VIEWER, 403), (Role.REVIEWER, 403), (Role.OPERATOR, 201)]
)
def test_rights_are_checked_again_before_an_answer_is_told_again(
    ada: Caller, eve: Caller, report: int, role: Role | None, status: int
) -> None:
    reports.start(ada.user)
    grant(eve.user, "alpha", Role.OPERATOR)
    assert start(eve).status_code == 201
    ScopeRole.objects.filter(user=eve.user).delete()
    if role is not None:
        grant(eve.user, "alpha", role)
    again = start(eve)
    assert again.status_code == status
    if status == 403:
        assert again.json()["code"] == "scope-forbidden"
    else:
        assert again.headers["Idempotency-Replayed"] == "true"


def test_who_is_deactivated_gets_nothing_again(ada: Caller, report: int) -> None:
    start(ada)
    ada.user.is_active = False
    ada.user.save(update_fields=["is_active"])
    assert start(ada).status_code == 401


@pytest.mark.parametrize(("hours", "kept"), [(23.9, True), (24.1, False)])
def test_an_answer_is_kept_for_a_day(ada: Caller, report: int, hours: float, kept: bool) -> None:
    first = start(ada)
    KeptAnswer.objects.update(kept_at=timezone.now() - timedelta(hours=hours))
    again = start(ada)
    assert (again.json()["execution_id"] == first.json()["execution_id"]) is kept
    assert ("Idempotency-Replayed" in again.headers) is kept
    assert KeptAnswer.objects.count() == 1
    assert start(ada).json()["execution_id"] == again.json()["execution_id"]


def test_old_answers_are_removed(ada: Caller, report: int) -> None:
    for key in ("old", "new"):
        start(ada, key)
    KeptAnswer.objects.filter(key="old").update(kept_at=timezone.now() - timedelta(hours=25))
    remove_old_answers(now=timezone.now())
    assert list(KeptAnswer.objects.values_list("key", flat=True)) == ["new"]
