"""Votes about versions of persons, and votes of users who have another name, or may no longer vote."""

from __future__ import annotations

from typing import Any

import pytest

from access.models import ScopeRole
from access.user import User
from executions.engine.domain.execution import Execution
from executions.engine.transitions import acceptance
from executions.models import ExecutionEvent, ExecutionStep
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.decisions.test_acceptance_api import decide, told
from tests.integration.api.decisions.test_votes_api import ACCEPT, listed, team, waiting
from workflows.definitions.definition import ApproversPolicy, WaitPolicy

pytestmark = pytest.mark.django_db
__all__ = ["team"]


def edit(caller: Caller, execution: Execution, title: str, *, base: int, **content: Any) -> None:
    """Store a person's version of the document that waits."""
    document = ExecutionStep.objects.get(execution_id=execution.id, step_id="research").document_id
    body = {"content": {"title": title, **content}}
    response = caller.put(f"/documents/{document}", body, **{"If-Match": f'"{base}"'})
    assert response.status_code == 200, response.content


def proposed(team: dict[str, Caller], *editors: str, **policy: Any) -> Execution:
    """Return an execution whose model proposes a version, beside the head that these users have edited."""
    wait = WaitPolicy(approvers=ApproversPolicy(**policy))
    execution = reports.hand_in(reports.start(team["ada"].user), wait)
    changes = {"decision": "request_changes", "document_version": 1, "comment": "Shorter"}
    assert decide(team["cleo"], execution, changes).status_code == 200
    for base, name in enumerate(editors, start=1):
        edit(team[name], execution, f"By {name}", base=base)
    call = reports.begun_again(execution)
    return reports.move(
        reports.claim(reports.read(execution)),
        lambda now, context: acceptance.request_acceptance(now, "research", waiting=wait, context=context),
        calls=(call,),
        document=reports.paper(execution, "research"),
    )


def test_a_rejected_proposal_is_no_vote_for_the_head(team: dict[str, Caller]) -> None:
    _, ben, cleo, dan = team.values()
    execution = proposed(team, "ben", required=2, four_eyes=True)
    reject = {"decision": "reject", "document_version": 3}
    rejected = decide(ben, execution, reject)
    assert (rejected.status_code, rejected.json()["status"]) == (200, "waiting")
    assert decide(ben, execution, reject).json() == rejected.json()  # again
    assert told(execution)[-2:] == ["acceptance_decided", "acceptance_needed"]
    head = {**ACCEPT, "document_version": 2}
    assert "You edited this version" in decide(ben, execution, head).json()["detail"]
    assert [listed(each, execution) for each in (ben, cleo, dan)] == [False, True, True]
    assert decide(cleo, execution, head).json()["status"] == "waiting"
    assert decide(dan, execution, head).json()["status"] == "running"
    assert ExecutionStep.objects.get(execution_id=execution.id, step_id="research").document_version == 2


def test_one_approver_keeps_the_head(team: dict[str, Caller]) -> None:
    execution = proposed(team, "ben", required=1)
    assert decide(team["dan"], execution, {"decision": "reject", "document_version": 3}).json()["status"] == "running"


def test_an_edit_of_the_head_voids_the_votes_about_a_proposal(team: dict[str, Caller]) -> None:
    _, ben, cleo, dan = team.values()
    execution = proposed(team, "ben", required=2)
    accept = {"decision": "accept", "document_version": 3, "head_version": 2}
    assert decide(cleo, execution, accept).json()["status"] == "waiting"
    assert not listed(cleo, execution)
    edit(ben, execution, "By ben again", base=2)
    [entry] = cleo.get("/inbox/", {"kind": "acceptance"}).json()["data"]
    assert (entry["document"]["version"], entry["document"]["voted_by"]) == (3, [])
    assert decide(dan, execution, {**accept, "head_version": 4}).json()["status"] == "waiting"
    assert decide(cleo, execution, {**accept, "head_version": 4}).json()["status"] == "running"


def test_votes_count_together_whether_or_not_they_name_the_head(team: dict[str, Caller]) -> None:
    _, ben, cleo, _ = team.values()
    execution = waiting(team["ada"], required=2)
    assert decide(ben, execution, {**ACCEPT, "head_version": 7}).status_code == 412
    assert decide(ben, execution, {**ACCEPT, "head_version": 1}).json()["status"] == "waiting"
    assert decide(cleo, execution, ACCEPT).json()["status"] == "running"


@pytest.mark.parametrize("loses", ["role", "account"])
def test_votes_of_users_who_may_no_longer_vote_do_not_count(team: dict[str, Caller], loses: str) -> None:
    _, ben, cleo, dan = team.values()
    execution = waiting(team["ada"], required=2)
    assert decide(ben, execution, ACCEPT).json()["status"] == "waiting"
    if loses == "role":
        ScopeRole.objects.filter(user=ben.user).delete()
    else:
        User.objects.filter(pk=ben.user.pk).update(is_active=False)
    assert decide(cleo, execution, ACCEPT).json()["status"] == "waiting"
    assert decide(cleo, execution, ACCEPT).json()["status"] == "waiting"  # again
    assert decide(dan, execution, ACCEPT).json()["status"] == "running"
    voted = ExecutionEvent.objects.filter(execution_id=execution.id, event_type="acceptance_voted").order_by("sequence")
    assert [each.data["votes"] for each in voted] == [1, 1, 2]


def test_a_user_with_another_name_votes_once(team: dict[str, Caller]) -> None:
    _, ben, cleo, dan = team.values()
    execution = waiting(team["ada"], required=2)
    first = decide(ben, execution, ACCEPT).json()
    User.objects.filter(pk=ben.user.pk).update(username="ben2")
    assert decide(ben, execution, ACCEPT).json() == first
    User.objects.filter(pk=dan.user.pk).update(username="ben")
    assert [listed(each, execution) for each in (ben, cleo, dan)] == [False, True, True]
    assert decide(dan, execution, ACCEPT).json()["status"] == "running"


def blocked(caller: Caller, execution: Execution) -> bool:
    """Return whether the entry asks the caller to assign other users."""
    rows = caller.get("/inbox/", {"kind": "acceptance"}).json()
    assert rows["counts"]["acceptance"] == len(rows["data"])
    found = [each for each in rows["data"] if each["execution_id"] == str(execution.id) and each["blocked"]]
    assert all(each["path"] == f"/api/v1/executions/{execution.id}/steps/research/assign" for each in found)
    return bool(found)


def assign(caller: Caller, execution: Execution, *names: str) -> str:
    """Assign the step, and return the code of the fault; empty: there is none."""
    response = caller.post(f"/executions/{execution.id}/steps/research/assign", {"assignees": names})
    return "" if response.status_code == 200 else response.json()["errors"][0]["code"]


def test_operators_see_a_wait_that_unknown_assignees_would_have_to_end(team: dict[str, Caller]) -> None:
    ada, ben, _, _ = team.values()
    execution = waiting(ada, required=1, assignees=("unknown-user",))
    assert [(listed(each, execution), blocked(each, execution)) for each in (ada, ben)] == [
        (True, True),
        (False, False),
    ]
    assert assign(ada, execution, "ben") == ""
    assert [(listed(each, execution), blocked(each, execution)) for each in (ada, ben)] == [
        (False, False),
        (True, False),
    ]


def test_operators_see_a_wait_whose_assignee_has_left(team: dict[str, Caller]) -> None:
    ada, ben, cleo, dan = team.values()
    execution = waiting(ada, required="all", assignees=("ben", "cleo"))
    assert decide(ben, execution, ACCEPT).json()["status"] == "waiting"
    assert not blocked(ada, execution)
    ScopeRole.objects.filter(user=cleo.user).delete()
    assert blocked(ada, execution)
    assert assign(ada, execution, "ben") == "already_voted"
    assert assign(ada, execution, "ben", "dan") == ""
    assert not blocked(ada, execution)
    assert decide(dan, execution, ACCEPT).json()["status"] == "running"


def test_operators_see_a_wait_that_four_eyes_block(team: dict[str, Caller]) -> None:
    ada, ben, cleo, dan = team.values()
    execution = waiting(ada, required="all", four_eyes=True, assignees=("ada", "ben"))
    assert blocked(ada, execution)
    assert (assign(ada, execution, "ada"), assign(ada, execution, "ada", "cleo")) == ("four_eyes", "four_eyes")
    assert assign(ada, execution, "ben") == ""
    assert not blocked(ada, execution)
    edit(ben, execution, "By ben", base=1)
    assert (blocked(ada, execution), assign(ada, execution, "ben")) == (True, "four_eyes")
    anyone = waiting(ada, required=3, four_eyes=True)
    assert not blocked(ada, anyone)
    edit(dan, anyone, "By dan", base=3)
    assert blocked(ada, anyone)
    assert not blocked(cleo, anyone) and listed(cleo, anyone)


def test_four_eyes_are_not_those_of_an_earlier_editor(team: dict[str, Caller]) -> None:
    _, ben, cleo, dan = team.values()
    execution = waiting(team["ada"], four_eyes=True)
    edit(ben, execution, "By ben", base=1)
    edit(cleo, execution, "By ben", base=2, points=["By cleo"])
    third = {**ACCEPT, "document_version": 3}
    for each in (ben, cleo):
        assert "You edited this version" in decide(each, execution, third).json()["detail"]
    assert [listed(each, execution) for each in (ben, cleo, dan)] == [False, False, True]
    assert decide(dan, execution, third).json()["status"] == "running"


def test_four_eyes_know_all_editors_of_a_head_beside_a_proposal(team: dict[str, Caller]) -> None:
    _, ben, cleo, dan = team.values()
    execution = proposed(team, "ben", "cleo", required=1, four_eyes=True)
    assert decide(cleo, execution, {"decision": "reject", "document_version": 4}).json()["status"] == "waiting"
    head = {**ACCEPT, "document_version": 3}
    for each in (ben, cleo):
        assert "You edited this version" in decide(each, execution, head).json()["detail"]
    assert decide(dan, execution, head).json()["status"] == "running"
