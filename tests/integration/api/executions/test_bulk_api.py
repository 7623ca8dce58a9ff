"""Cancel and retry many executions with one request: each has the same outcome as alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from access.models import KeptAnswer, ScopeRole
from access.permissions import Role
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, pointers

pytestmark = pytest.mark.django_db
KEY = "7c0b5c52-86f5-4d83-9e0a-3e5b8f5a7c11"

Restrict = Callable[..., None]


def bulk(caller: Caller, action: object, ids: Sequence[object], path: str = "/executions/bulk", **headers: str) -> Any:
    return caller.post(path, {"action": action, "ids": [str(each) for each in ids]}, **headers)


def outcomes(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def short(response: Any) -> list[str]:
    """Return of each outcome the status of the execution, or the code of the problem."""
    return [
        each["problem"]["code"] if each["execution"] is None else each["execution"]["status"]
        for each in outcomes(response)
    ]


def begun(caller: Caller, key: str = "alpha") -> Execution:
    return reports.start(caller.user, key)


def versions() -> dict[UUID, int]:
    return dict(ExecutionRow.objects.values_list("id", "version"))


@pytest.mark.parametrize("path", ["/executions/bulk", "/executions/bulk/"])
def test_many_are_cancelled_and_each_says_how_it_stands(ada: Caller, report: int, path: str) -> None:
    ids = [begun(ada, key).id for key in ("alpha", "beta", "alpha")]
    found = outcomes(bulk(ada, "cancel", ids[::-1], path))
    assert [each["execution_id"] for each in found] == [str(each) for each in ids[::-1]]
    for each in found:
        alone = ada.get(f"/executions/{each['execution_id']}").json()
        assert each["problem"] is None
        assert each["execution"] == {name: alone[name] for name in ("status", "waiting_on", "version", "updated_at")}
        assert each["execution"]["status"] == "cancelled"
    told = ExecutionEvent.objects.filter(event_type="complete").values_list("execution_id", flat=True)
    assert sorted(told) == sorted(ids)


def test_many_are_retried_and_have_a_job_each(ada: Caller, report: int) -> None:
    failed = [reports.fail(begun(ada, key)) for key in ("alpha", "beta", "alpha")]
    asking = reports.ask(begun(ada))
    reports.cancel(ada.user, asking.id)
    ProcrastinateJob.objects.all().delete()
    response = bulk(ada, "retry", [asking.id, *(each.id for each in failed)])
    assert short(response) == ["waiting", "running", "running", "running"]
    assert outcomes(response)[0]["execution"]["waiting_on"] == ["clarification"]
    assert {UUID(job.lock) for job in ProcrastinateJob.objects.all()} == {asking.id, *(each.id for each in failed)}
    told = ExecutionEvent.objects.filter(event_type="execution_retried")
    assert {each.data["requested_by"] for each in told} == {"ada"}


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_each_outcome_is_that_of_the_request_for_it_alone(
    ada: Caller, eve: Caller, caller: Callable[..., Caller], report: int, action: str
) -> None:
    """What is refused is refused in the same words, and undoes nothing of the others."""
    bob = caller("bob")
    completed, running, failed = reports.finish(begun(ada)), reports.claim(begun(ada)), reports.fail(begun(ada))
    foreign, reviewed = begun(eve, "eves"), begun(bob, "bobs")
    grant(ada.user, "bobs", Role.REVIEWER)
    ids = [completed.id, uuid4(), running.id, foreign.id, reviewed.id, failed.id]
    before = versions()
    response = bulk(ada, action, ids)
    done = {"cancel": "cancelled", "retry": "running"}[action]
    is_done = {running.id: done} if action == "cancel" else {failed.id: done}
    wanted = ["illegal-transition", "not-found", "illegal-transition", "not-found", "forbidden", "illegal-transition"]
    assert short(response) == [is_done.get(each, code) for each, code in zip(ids, wanted, strict=True)]
    assert {each for each, version in versions().items() if version != before[each]} == set(is_done)
    for each in outcomes(response):
        if (problem := each["problem"]) is not None:
            alone = ada.post(f"/executions/{each['execution_id']}/{action}")
            assert alone.status_code == problem["status"]
            assert {**alone.json(), "request_id": None} == {**problem, "request_id": None}


def test_one_that_is_cancelled_already_stays_as_it_is(ada: Caller, report: int) -> None:
    execution = begun(ada)
    reports.cancel(ada.user, execution.id)
    before = (counts(), versions())
    assert short(bulk(ada, "cancel", [execution.id])) == ["cancelled"]
    assert (counts(), versions()) == before


def test_one_that_is_named_twice_is_acted_on_once_and_answered_twice(ada: Caller, report: int) -> None:
    failed, missing = reports.fail(begun(ada)), uuid4()
    ProcrastinateJob.objects.all().delete()
    written = [str(failed.id), str(missing), str(failed.id).upper(), str(missing)]
    found = outcomes(bulk(ada, "retry", written))
    assert [each["execution_id"] for each in found] == [each.lower() for each in written]
    assert (found[0], found[1]) == (found[2], found[3])
    assert found[0]["execution"]["version"] == failed.version + 1
    assert ProcrastinateJob.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, {"/action", "/ids"}),
        ({"action": "cancel"}, {"/ids"}),
        ({"action": "cancel", "ids": []}, {"/ids"}),
        ({"action": "cancel", "ids": None}, {"/ids"}),
        ({"action": "cancel", "ids": {}}, {"/ids"}),
        ({"action": "cancel", "ids": "all"}, {"/ids"}),
        ({"action": "cancel", "ids": [str(uuid4()), "x", 5, None, True, [], str(uuid4()).replace("-", "")]}, {
            *(f"/ids/{n}" for n in range(1, 7)),
        }),
        ({"action": "cancel", "ids": [f"urn:uuid:{uuid4()}", f"{{{uuid4()}}}", f"{uuid4()}\n"]}, {
            *(f"/ids/{n}" for n in range(3)),
        }),
        ({"action": "pause", "ids": [str(uuid4())]}, {"/action"}),
        ({"action": ["cancel"], "ids": [str(uuid4())]}, {"/action"}),
        ({"action": None, "ids": [str(uuid4())]}, {"/action"}),
        ({"action": "retry", "ids": [str(uuid4())], "from_step": "one"}, {"/from_step"}),
    ],
)  # fmt: skip
def test_a_wrong_body_is_named_and_nothing_is_done(
    ada: Caller, report: int, body: dict[str, Any], where: set[str]
) -> None:
    execution = begun(ada)
    if isinstance(body.get("ids"), list) and body["ids"]:
        body = {**body, "ids": [*body["ids"], str(execution.id)]}
    before = (counts(), versions())
    response = ada.post("/executions/bulk", body)
    assert (response.status_code, pointers(response)) == (422, where)
    assert (counts(), versions()) == before


@pytest.mark.parametrize("body", [b"[]", b"3", b"null", b'"cancel"'])
def test_a_body_that_is_no_object_is_refused(ada: Caller, report: int, body: bytes) -> None:
    assert ada.post("/executions/bulk", body).status_code == 422


def test_two_hundred_are_taken_and_one_more_is_not(ada: Caller, report: int) -> None:
    mine = [begun(ada, f"p{n % 3}").id for n in range(6)]
    ids = [*mine, *(uuid4() for _ in range(194))]
    response = bulk(ada, "cancel", [*ids, uuid4()])
    assert (response.status_code, pointers(response)) == (422, {"/ids"})
    assert set(ExecutionRow.objects.values_list("status", flat=True)) == {"pending"}
    assert short(bulk(ada, "cancel", ids)) == ["cancelled"] * 6 + ["not-found"] * 194


def test_the_limit_is_a_setting_and_counts_what_is_named_twice(ada: Caller, report: int, restrict: Restrict) -> None:
    restrict(bulk_executions=2)
    execution = begun(ada)
    assert (refused := bulk(ada, "cancel", [execution.id] * 3)).status_code == 422
    assert "no more than 2" in refused.json()["errors"][0]["detail"]
    assert short(bulk(ada, "cancel", [execution.id] * 2)) == ["cancelled"] * 2


def test_who_does_not_say_who_asks_and_another_method_are_refused(ada: Caller, report: int) -> None:
    execution = begun(ada)
    body = {"action": "cancel", "ids": [str(execution.id)]}
    anonymous = ada.http.post("/api/v1/executions/bulk", body, content_type="application/json")
    assert anonymous.status_code == 401
    assert ada.http.get("/api/v1/executions/bulk", headers={"Authorization": f"Bearer {ada.token}"}).status_code == 405
    assert ExecutionRow.objects.get().status == "pending"


# --- one key, one time ---------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_first_answer_and_does_nothing_more(ada: Caller, report: int) -> None:
    failed, completed = reports.fail(begun(ada)), reports.finish(begun(ada))
    first = bulk(ada, "retry", [failed.id, completed.id], Idempotency_Key=KEY)
    assert short(first) == ["running", "illegal-transition"]
    assert "Idempotency-Replayed" not in first.headers
    reports.cancel(ada.user, failed.id)  # else a second retry would be refused by itself
    before = (counts(), versions())
    again = bulk(ada, "retry", [failed.id, completed.id], "/executions/bulk/", Idempotency_Key=KEY)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (counts(), versions()) == before
    assert short(bulk(ada, "retry", [failed.id, completed.id])) == ["running", "illegal-transition"]


@pytest.mark.parametrize(("action", "turned"), [("cancel", False), ("retry", True)])
def test_a_key_with_another_body_is_refused(ada: Caller, report: int, action: str, turned: bool) -> None:
    ids = [reports.fail(begun(ada)).id, begun(ada).id]
    assert bulk(ada, "retry", ids, Idempotency_Key=KEY).status_code == 200
    before = (counts(), versions())
    response = bulk(ada, action, ids[::-1] if turned else ids, Idempotency_Key=KEY)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")
    assert (counts(), versions()) == before


def test_a_wrong_body_leaves_its_key_free_and_a_wrong_key_does_nothing(ada: Caller, report: int) -> None:
    execution = begun(ada)
    assert bulk(ada, "pause", [execution.id], Idempotency_Key=KEY).status_code == 422
    assert KeptAnswer.objects.count() == 0
    assert bulk(ada, "cancel", [execution.id], Idempotency_Key=" ").status_code == 400
    assert ExecutionRow.objects.get().status == "pending"
    assert short(bulk(ada, "cancel", [execution.id], Idempotency_Key=KEY)) == ["cancelled"]


@pytest.mark.parametrize(
    ("role", "status", "code"), [(Role.REVIEWER, 403, "forbidden"), (None, 404, "not-found"), (Role.OPERATOR, 200, "")]
)
def test_rights_are_looked_at_before_an_answer_is_told_again(
    ada: Caller, eve: Caller, report: int, role: Role | None, status: int, code: str
) -> None:
    own, shared = begun(eve, "eves"), begun(ada)
    grant(eve.user, "alpha", Role.OPERATOR)
    ids = [own.id, shared.id, uuid4()]
    first = bulk(eve, "cancel", ids, Idempotency_Key=KEY)
    assert short(first) == ["cancelled", "cancelled", "not-found"]
    rows = ScopeRole.objects.filter(user=eve.user, scope__key="alpha")
    _ = rows.delete() if role is None else rows.update(role=role)
    again = bulk(eve, "cancel", ids, Idempotency_Key=KEY)
    assert again.status_code == status
    assert again.content == first.content if status == 200 else again.json()["code"] == code
