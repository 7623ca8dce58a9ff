"""The inbox: what waits for the caller, with what it is about, and counts by kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.permissions import Role
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.models import ExecutionStep, InboxEntry
from executions.worker import duties
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers
from tests.integration.api.costs.test_budget_api import begin_paid
from workflows.definitions.definition import ClarificationPolicy, OnDeadline, WaitPolicy

pytestmark = pytest.mark.django_db

KINDS = ["question", "acceptance", "budget", "failure"]


@pytest.fixture
def four(ada: Caller) -> list[Execution]:
    """One execution of Ada's for each kind, longest waiting first."""
    reports.publish(gated=True)
    policy = WaitPolicy(assignees=("ada",), due_seconds=60.0)
    short = reports.start(ada.user, key="c", budget={"max_cost_usd": Decimal("0.05")})
    return [
        reports.ask(reports.start(ada.user, key="a"), waiting=policy),
        reports.hand_in(reports.start(ada.user, key="b")),
        begin_paid(reports.claim(short), "0.10"),
        reports.fail(reports.start(ada.user, key="d")),
    ]


def page(caller: Caller, **query: object) -> dict[str, Any]:
    """Return a page of the inbox."""
    response = caller.get("/inbox/", query)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def kinds(caller: Caller, **query: object) -> list[str]:
    """Return the kinds of what is listed."""
    return [each["kind"] for each in page(caller, **query)["data"]]


def test_each_kind_says_what_it_is_about_and_where_to_act(ada: Caller, four: list[Execution]) -> None:
    asked, handed_in, short, failed = page(ada)["data"]
    root = "/api/v1/executions"
    assert [each["execution_id"] for each in (asked, handed_in, short, failed)] == [str(each.id) for each in four]
    assert [each["path"] for each in (asked, handed_in, short, failed)] == [
        f"{root}/{four[0].id}/steps/research/clarification",
        f"{root}/{four[1].id}/steps/research/acceptance",
        f"{root}/{four[2].id}/budget",
        f"{root}/{four[3].id}/retry",
    ]
    assert asked["clarification"]["questions"][0]["text"] == "Who decides?"
    assert (asked["assignees"], asked["name"], asked["step_id"]) == (["ada"], "Research", "research")
    assert asked["since"] == asked["clarification"]["asked_at"] < asked["due_at"]
    [step, *_] = ada.get(f"/executions/{four[0].id}/steps").json()["data"]
    assert step["wait"] == {
        **{name: asked[name] for name in ("since", "due_at", "assignees")},
        "required_votes": 1,
        "voted_by": [],
    }
    document = handed_in["document"]
    assert (document["title"], document["version"], document["proposed"]) == ("The findings", 1, False)
    assert (document["required_votes"], document["voted_by"]) == (1, [])
    assert (short["limits"], short["step_id"], short["document"], short["error"]) == (
        ["max_cost_usd"],
        None,
        None,
        None,
    )
    assert failed["error"] == {"code": "model_refused", "message": "The model refused."}
    assert [each["due_at"] for each in (handed_in, short, failed)] == [None] * 3


def test_a_step_waits_until_the_deadline_of_its_questions_as_its_entry_does(ada: Caller) -> None:
    reports.publish()
    policy = ClarificationPolicy(deadline_seconds=3600, on_deadline=OnDeadline.FAIL)
    execution = reports.ask(reports.start(ada.user), policy=policy)
    [entry] = page(ada)["data"]
    [step, *_] = ada.get(f"/executions/{execution.id}/steps").json()["data"]
    assert step["wait"]["due_at"] == entry["due_at"] == step["clarification"]["expires_at"]
    ExecutionStep.objects.filter(execution_id=execution.id).update(wait=None)  # it began before waits were recorded
    [step, *_] = ada.get(f"/executions/{execution.id}/steps").json()["data"]
    assert (step["wait"]["since"], step["wait"]["due_at"]) == (entry["since"], entry["due_at"])


def test_what_is_settled_is_gone_and_what_waits_again_is_back(ada: Caller, four: list[Execution]) -> None:
    assert page(ada)["counts"] == dict.fromkeys(KINDS, 1)
    asked, handed_in, short, failed = page(ada)["data"]
    assert ada.post(asked["path"].removeprefix("/api/v1"), {"answers": reports.GOOD_ANSWERS}).status_code == 200
    accept = {"decision": "accept", "document_version": 1}
    assert ada.post(handed_in["path"].removeprefix("/api/v1"), accept).status_code == 200
    assert ada.patch(short["path"].removeprefix("/api/v1"), {"max_cost_usd": None}).status_code == 200
    assert ada.post(failed["path"].removeprefix("/api/v1")).status_code == 200
    assert (kinds(ada), InboxEntry.objects.count()) == ([], 0)
    asking = reports.ask(reports.start(ada.user, key="a"))
    before = page(ada)["data"][0]["id"]
    reports.cancel(ada.user, asking.id)
    assert kinds(ada) == []
    assert ada.post(f"/executions/{asking.id}/retry").status_code == 200
    assert (kinds(ada), page(ada)["data"][0]["id"] == before) == (["question"], False)


def test_it_holds_what_the_caller_may_act_on(
    ada: Caller, eve: Caller, caller: Callable[..., Caller], four: list[Execution]
) -> None:
    assert kinds(eve) == []
    seen = {Role.VIEWER: [], Role.REVIEWER: KINDS[:2], Role.OPERATOR: KINDS, Role.OWNER: KINDS}
    for role, expected in seen.items():
        one = caller(f"a-{role}")
        for key in "abcd":
            grant(one.user, key, role)
        assert (kinds(one), sum(page(one)["counts"].values())) == (expected, len(expected))
    assert kinds(caller("root", staff=True)) == KINDS


def test_it_can_be_narrowed_and_counts_follow_the_filters(ada: Caller, four: list[Execution]) -> None:
    assert kinds(ada, kind="question,failure") == ["question", "failure"]
    assert kinds(ada, kind=["budget", "question"]) == ["question", "budget"]
    assert page(ada, kind="question")["counts"] == {**dict.fromkeys(KINDS, 0), "question": 1}
    assert kinds(ada, scope_type="project", scope_id="b") == ["acceptance"]
    assert kinds(ada, scope_id="nowhere") == []
    assert (kinds(ada, workflow_id="report"), kinds(ada, workflow_id="x")) == (KINDS, [])
    assert kinds(ada, assigned_to="me") == ["question"]
    assert (kinds(ada, dry_run="true"), kinds(ada, dry_run="false")) == ([], KINDS)
    assert (kinds(ada, overdue="true"), kinds(ada, overdue="false")) == ([], KINDS)
    InboxEntry.objects.filter(kind="question").update(due_at=timezone.now() - timedelta(seconds=1))
    assert (kinds(ada, overdue="true"), kinds(ada, overdue="false")) == (["question"], KINDS[1:])
    for query in ({"kind": "x"}, {"assigned_to": "ben"}, {"overdue": "x"}, {"status": "x"}, {"cursor": "x"}):
        response = ada.get("/inbox/", query)
        [pointer] = pointers(response)
        assert (response.status_code, pointer.split("/")[1]) == (422, next(iter(query)))


def test_pages_go_on_where_the_last_one_ended(ada: Caller, four: list[Execution]) -> None:
    first = page(ada, limit=3)
    rest = page(ada, limit=3, cursor=first["next_cursor"])
    assert [each["kind"] for each in first["data"] + rest["data"]] == KINDS
    assert (rest["next_cursor"], rest["counts"]) == (None, first["counts"])


def test_counts_are_exact_to_a_hundred(ada: Caller, four: list[Execution]) -> None:
    entry = InboxEntry.objects.get(kind="question")
    for number, shown in ((99, 100), (1, "100+"), (1, "100+")):
        InboxEntry.objects.bulk_create(_copy(entry) for _ in range(number))
        assert page(ada, limit=1)["counts"]["question"] == shown


def _copy(entry: InboxEntry) -> InboxEntry:
    number = uuid7()
    values = {
        each: getattr(entry, each) for each in ("execution_id", "kind", "root_id", "workflow_id", "dry_run", "since")
    }
    return InboxEntry(id=number, step_id=str(number), **values)


def test_a_failure_is_dismissed_by_operators(
    ada: Caller, eve: Caller, caller: Callable[..., Caller], four: list[Execution]
) -> None:
    ids = {each["kind"]: each["id"] for each in page(ada)["data"]}
    path = f"/inbox/{ids['failure']}/dismiss"
    assert eve.post(path).json()["code"] == "not-found"
    reviewer = caller("ben")
    grant(reviewer.user, "d", Role.REVIEWER)
    assert reviewer.post(path).json()["code"] == "forbidden"
    assert ada.post(f"/inbox/{ids['question']}/dismiss").json()["code"] == "not-dismissible"
    assert ada.post(f"/inbox/{UUID(int=1)}/dismiss").json()["code"] == "not-found"
    assert kinds(ada) == KINDS
    done = {"id": ids["failure"], "kind": "failure", "execution_id": str(four[3].id)}
    for replayed in (None, "true"):
        response = ada.post(path, **{"Idempotency-Key": "one"})
        assert (response.status_code, response.json()) == (200, done)
        assert response.headers.get("Idempotency-Replayed") == replayed
    assert (kinds(ada), ada.post(path).status_code) == (KINDS[:3], 404)
    assert ada.get(f"/executions/{four[3].id}").json()["status"] == "failed"


def test_a_failure_leaves_after_14_days(ada: Caller, four: list[Execution]) -> None:
    for days, listed in ((13, True), (15, False)):
        InboxEntry.objects.filter(kind="failure").update(since=timezone.now() - timedelta(days=days))
        assert ("failure" in kinds(ada), page(ada)["counts"]["failure"]) == (listed, int(listed))
        assert duties.prune_failures(now=timezone.now()) == int(not listed)
    assert InboxEntry.objects.count() == 3


def test_a_dry_run_is_marked(ada: Caller, report: int) -> None:
    reports.ask(reports.start(ada.user, script=DryRunScript()))
    assert [each["dry_run"] for each in page(ada, dry_run="true")["data"]] == [True]
