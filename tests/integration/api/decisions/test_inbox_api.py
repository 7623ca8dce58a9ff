"""The inbox: open questions of all executions that the caller may see, oldest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from access.permissions import Role
from executions.services import executions
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers
from tests.integration.api.decisions.test_clarification_api import answer

pytestmark = pytest.mark.django_db


def inbox(caller: Caller, **query: object) -> list[str]:
    """Return the executions whose questions are listed."""
    response = caller.get("/clarifications/", query)
    assert response.status_code == 200, response.content
    return [row["execution_id"] for row in response.json()["data"]]


def ask(caller: Caller, key: str = "alpha") -> str:
    """Start an execution that asks, and return its id."""
    return str(reports.ask(reports.start(caller.user, key=key)).id)


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_open_question_is_listed_with_where_to_answer_it(ada: Caller, report: int, slash: str) -> None:
    execution_id = ask(ada)
    page = ada.get(f"/clarifications{slash}").json()
    [entry] = page["data"]
    step = ada.get(f"/executions/{execution_id}/steps").json()["data"][0]
    assert page["next_cursor"] is None
    assert entry == {
        "execution_id": execution_id,
        "workflow_id": "report",
        "scope_type": "project",
        "scope_id": "alpha",
        "step_id": "research",
        "name": "Research",
        "role": "Analyst",
        "item": None,
        "dry_run": False,
        "clarification": step["clarification"],
    }


def test_who_waits_longest_comes_first_page_by_page(ada: Caller, report: int) -> None:
    asked = [ask(ada, key) for key in ("alpha", "beta", "gamma")]
    assert inbox(ada) == asked
    first = ada.get("/clarifications/", {"limit": 2}).json()
    rest = ada.get("/clarifications/", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [row["execution_id"] for row in first["data"] + rest["data"]] == asked
    assert rest["next_cursor"] is None


def test_it_holds_what_the_caller_may_see(ada: Caller, eve: Caller, caller: Callable[..., Caller], report: int) -> None:
    mine, theirs = ask(ada), ask(eve, "beta")
    assert (inbox(ada), inbox(eve)) == ([mine], [theirs])
    assert inbox(caller("root", staff=True)) == [mine, theirs]
    grant(ada.user, "beta", Role.REVIEWER)
    assert inbox(ada) == [mine, theirs]
    [_, entry] = ada.get("/clarifications/").json()["data"]
    path = f"/executions/{entry['execution_id']}/steps/{entry['step_id']}/clarification"
    assert ada.post(path, {"answers": reports.GOOD_ANSWERS}).status_code == 200
    assert inbox(ada) == [mine]


def test_it_can_be_narrowed(ada: Caller, report: int) -> None:
    alpha, beta = ask(ada), ask(ada, "beta")
    assert inbox(ada, scope_type="project", scope_id="beta") == [beta]
    assert inbox(ada, workflow_id="report") == [alpha, beta]
    assert inbox(ada, workflow_id="other") == []
    assert inbox(ada, scope_type="epic") == []


@pytest.mark.parametrize("query", [{"status": "x"}, {"limit": "0"}, {"cursor": "x"}, {"scope_id": ["a", "b"]}])
def test_a_wrong_parameter_is_named(ada: Caller, report: int, query: dict[str, Any]) -> None:
    response = ada.get("/clarifications/", query)
    assert (response.status_code, pointers(response)) == (422, {f"/{next(iter(query))}"})


def test_what_is_answered_stopped_or_waits_for_something_else_is_not_listed(
    ada: Caller, caller: Callable[..., Caller], report: int
) -> None:
    answered, stopped = reports.ask(reports.start(ada.user)), reports.ask(reports.start(ada.user))
    answer(ada, answered, reports.GOOD_ANSWERS)
    reports.cancel(ada.user, stopped.id)
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada.user))
    assert inbox(ada) == []
    executions.retry_execution(user=ada.user, execution_id=stopped.id, now=timezone.now())
    assert inbox(ada) == [str(stopped.id)]  # asked again
