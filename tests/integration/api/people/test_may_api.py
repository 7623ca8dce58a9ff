"""`may` says what the caller can do now; commands refuse exactly the rest."""

from __future__ import annotations

from typing import Any

import pytest

from access.people.roles import give_role
from access.permissions import Role
from access.services import claim_root_scope
from access.user import User
from executions.engine.domain.execution import Execution
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

CANCELLED, OPEN = {"retry", "erase"}, {"cancel", "budget"}
#: What each role permits.
BY_ROLE = {
    "viewer": set[str](),
    "reviewer": {"answer", "decide"},
    "operator": {"answer", "decide", "cancel", "budget", "retry"},
    "owner": {"answer", "decide", "cancel", "budget", "retry", "erase"},
}


def pending(user: User) -> Execution:
    return reports.start(user)


def asking(user: User) -> Execution:
    return reports.ask(reports.start(user))


def deciding(user: User) -> Execution:
    reports.publish(gated=True)
    return reports.hand_in(reports.claim(reports.start(user)))


def cancelled(user: User) -> Execution:
    return reports.cancel(user, reports.start(user).id)


def completed(user: User) -> Execution:
    return reports.finish(reports.start(user))


STATES = {
    "pending": (pending, OPEN),
    "asking": (asking, OPEN | {"answer"}),
    "deciding": (deciding, OPEN | {"decide"}),
    "cancelled": (cancelled, CANCELLED),
    "completed": (completed, {"erase"}),
}


def attempt(caller: Caller, action: str, execution: Execution) -> int:
    """Try an action, and return the status of the answer."""
    path, version = f"/executions/{execution.id}", execution.steps["research"].document_version or 1
    requests: dict[str, Any] = {
        "answer": lambda: caller.post(f"{path}/steps/research/clarification", {"answers": reports.GOOD_ANSWERS}),
        "decide": lambda: caller.post(
            f"{path}/steps/research/acceptance", {"decision": "accept", "document_version": version}
        ),
        "cancel": lambda: caller.post(f"{path}/cancel"),
        "budget": lambda: caller.patch(f"{path}/budget", {"max_calls": 99}),
        "retry": lambda: caller.post(f"{path}/retry", {}),
        "erase": lambda: caller.delete(path),
    }
    status: int = requests[action]().status_code
    return status


@pytest.mark.parametrize(
    "state",
    [
        "asking",
        "deciding",
        "cancelled",
        pytest.param("pending", marks=pytest.mark.torture),
        pytest.param("completed", marks=pytest.mark.torture),
    ],
)
def test_the_same_actions_are_named_and_permitted(report: int, ada: Caller, eve: Caller, state: str) -> None:
    make, by_state = STATES[state]
    place: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
    claim_root_scope(user=ada.user, **place)
    for role, by_role in BY_ROLE.items():
        give_role(user=ada.user, username="eve", role=Role(role), **place)
        execution = make(ada.user)
        shown = eve.get(f"/executions/{execution.id}").json()["may"]
        listed = eve.get("/executions/", {"limit": 1}).json()["data"][0]
        assert set(shown) == by_state & by_role, role
        assert (listed["execution_id"], listed["may"]) == (str(execution.id), shown)
        steps = eve.get(f"/executions/{execution.id}/steps").json()["data"]
        assert {each for step in steps for each in step["may"]} == set(shown) & {"answer", "decide"}
        for action in BY_ROLE["owner"] - set(shown) - ({"cancel"} if state == "cancelled" else set()):
            assert attempt(eve, action, execution) == (403 if action not in by_role else 409), (role, action)
        for action in sorted(shown, reverse=True)[:1]:
            answer = attempt(eve, action, execution)
            assert answer == (204 if action == "erase" else 200), (role, action)


def test_the_answer_to_a_command_says_what_comes_next(report: int, ada: Caller) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A brief."}
    started = ada.post("/executions/", body).json()
    assert started["may"] == ["cancel", "budget"]
    assert ada.post(f"/executions/{started['execution_id']}/cancel").json()["may"] == ["retry", "erase"]


def test_documents_say_who_may_edit_them(report: int, ada: Caller, eve: Caller) -> None:
    body = {"scope_type": "project", "scope_id": "alpha", "type": "note", "title": "A note", "content": "One."}
    added = ada.post("/documents/", body).json()
    assert added["may"] == ["edit", "comment"]
    path = f"/documents/{added['id']}"
    for role, may in (("viewer", []), ("reviewer", ["edit", "comment"])):
        give_role(user=ada.user, scope_type="project", scope_key="alpha", username="eve", role=Role(role))
        assert eve.get(path).json()["may"] == may
        assert eve.get("/documents/").json()["data"][0]["may"] == may
        status = eve.put(path, {"content": f"By a {role}."}, If_Match="*").status_code
        assert status == (200 if "edit" in may else 403)
    assert ada.get(path).json()["may"] == ["edit", "comment", "restore"]


def test_a_refusal_names_the_owners_only_to_those_with_a_role(report: int, ada: Caller, eve: Caller) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A brief."}
    assert ada.post("/executions/", body).status_code == 201
    stranger = eve.post("/executions/", body)
    assert (stranger.status_code, stranger.json()["code"]) == (403, "scope-forbidden")
    assert "ada" not in stranger.content.decode()
    give_role(user=ada.user, scope_type="project", scope_key="alpha", username="eve", role=Role.VIEWER)
    viewer = eve.post("/executions/", body).json()
    assert (viewer["code"], viewer["role"], viewer["needed_role"], viewer["owners"]) == (
        "scope-forbidden",
        "viewer",
        "operator",
        ["ada"],
    )
