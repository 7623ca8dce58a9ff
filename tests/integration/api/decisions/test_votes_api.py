"""Several approvers, four eyes, assignments, and acceptance of many documents, as clients do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access.permissions import Role
from common.time import format_rfc3339
from executions.engine.domain.execution import Execution
from executions.models import ExecutionEvent, InboxEntry
from executions.worker import duties
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, pointers
from tests.integration.api.decisions.test_acceptance_api import decide, state, told
from workflows.definitions.definition import ApproversPolicy, WaitPolicy

pytestmark = pytest.mark.django_db

ACCEPT = {"decision": "accept", "document_version": 1}


@pytest.fixture
def team(ada: Caller, caller: Callable[..., Caller]) -> dict[str, Caller]:
    """Ada, who owns the scope, and reviewers of it."""
    reports.publish(gated=True)
    reports.start(ada.user)
    made = {name: caller(name) for name in ("ben", "cleo", "dan")}
    for each in made.values():
        grant(each.user, "alpha", Role.REVIEWER)
    return {"ada": ada, **made}


def waiting(owner: Caller, **policy: Any) -> Execution:
    """Return an execution whose document waits for approvers."""
    assignees = policy.pop("assignees", ())
    due = policy.pop("due_seconds", None)
    approvers = ApproversPolicy(**policy) if policy else None
    remind = None if due is None else due / 2
    wanted = WaitPolicy(assignees=assignees, approvers=approvers, due_seconds=due, remind_seconds_before=remind)
    return reports.hand_in(reports.start(owner.user), wanted)


def step_of(caller: Caller, execution: Execution) -> Any:
    """Return the step that writes the document."""
    steps = caller.get(f"/executions/{execution.id}/steps").json()["data"]
    return next(each for each in steps if each["step_id"] == "research")


def listed(caller: Caller, execution: Execution) -> bool:
    """Return whether the decision is in the caller's inbox."""
    rows = caller.get("/inbox/", {"kind": "acceptance"}).json()["data"]
    return str(execution.id) in {each["execution_id"] for each in rows}


def test_the_last_vote_decides_and_each_is_told(team: dict[str, Caller]) -> None:
    ada, ben, cleo, dan = team.values()
    execution = waiting(ada, required="all", assignees=("ben", "cleo"))
    assert [listed(each, execution) for each in (ada, ben, cleo, dan)] == [False, True, True, False]
    may = [step_of(each, execution)["may"] for each in (ada, ben, cleo, dan)]
    assert may == [[], ["decide"], ["decide"], []]
    refused = decide(dan, execution, ACCEPT)
    assert (refused.status_code, refused.json()["code"]) == (403, "may-not-vote")
    assert refused.json()["detail"] == "Only its assignees decide about this document: ben, cleo."
    first = decide(ben, execution, ACCEPT)
    assert (first.status_code, first.json()["status"]) == (200, "waiting")
    assert decide(ben, execution, ACCEPT).json() == first.json()  # again
    assert [listed(each, execution) for each in (ben, cleo)] == [False, True]
    [entry] = cleo.get("/inbox/", {"kind": "acceptance", "assigned_to": "me"}).json()["data"]
    assert (entry["document"]["required_votes"], entry["document"]["voted_by"]) == (2, ["ben"])
    assert step_of(cleo, execution)["wait"] == {
        **{name: entry[name] for name in ("since", "due_at", "assignees")},
        "required_votes": 2,
        "voted_by": ["ben"],
    }
    assert decide(cleo, execution, ACCEPT).json()["status"] == "running"
    assert told(execution)[-5:] == [
        *("acceptance_voted", "acceptance_voted", "acceptance_decided", "execution_resumed", "step_completed")
    ]
    voted = ExecutionEvent.objects.filter(execution_id=execution.id, event_type="acceptance_voted").order_by("sequence")
    assert [(each.data["voted_by"], each.data["votes"], each.data["required"]) for each in voted] == [
        *(("ben", 1, 2), ("cleo", 2, 2))
    ]
    assert not InboxEntry.objects.filter(execution_id=execution.id).exists()
    assert step_of(cleo, execution)["wait"] is None


def test_one_rejection_decides(team: dict[str, Caller]) -> None:
    _, ben, cleo, _ = team.values()
    execution = waiting(team["ada"], required=3)
    assert decide(ben, execution, ACCEPT).json()["status"] == "waiting"
    assert decide(cleo, execution, {**ACCEPT, "decision": "reject"}).json()["status"] == "failed"
    assert told(execution).count("acceptance_voted") == 2
    assert "acceptance_decided" in told(execution)


def test_four_eyes_are_neither_the_starter_nor_the_editor(team: dict[str, Caller]) -> None:
    ada, ben, cleo, _ = team.values()
    execution = waiting(ada, four_eyes=True)
    before = state(execution)
    refused = decide(ada, execution, ACCEPT)
    assert (refused.status_code, refused.json()["code"]) == (403, "may-not-vote")
    assert "You started this execution" in refused.json()["detail"]
    own = decide(ben, execution, {**ACCEPT, "content": {"title": "By Ben"}})
    assert (own.json()["code"], state(execution)) == ("may-not-vote", before)
    document = ben.get(f"/executions/{execution.id}/steps").json()["data"][0]["document"]["id"]
    headers = {"If-Match": '"1"'}
    assert ben.put(f"/documents/{document}", {"content": {"title": "By Ben"}}, **headers).status_code == 200
    assert "You edited this version" in decide(ben, execution, {**ACCEPT, "document_version": 2}).json()["detail"]
    assert [listed(each, execution) for each in (ada, ben, cleo)] == [False, False, True]
    assert [step_of(each, execution)["may"] for each in (ada, ben, cleo)] == [[], [], ["decide"]]
    assert decide(cleo, execution, {**ACCEPT, "document_version": 2}).json()["status"] == "running"


def test_votes_about_an_earlier_version_do_not_count(team: dict[str, Caller]) -> None:
    ada, ben, cleo, dan = team.values()
    execution = waiting(ada, required=2)
    assert decide(ben, execution, ACCEPT).json()["status"] == "waiting"
    document = ada.get(f"/executions/{execution.id}/steps").json()["data"][0]["document"]["id"]
    assert ada.put(f"/documents/{document}", {"content": {"title": "New"}}, **{"If-Match": '"1"'}).status_code == 200
    second = {**ACCEPT, "document_version": 2}
    assert decide(cleo, execution, second).json()["status"] == "waiting"
    assert listed(ben, execution)
    assert decide(dan, execution, second).json()["status"] == "running"


def test_operators_assign_what_waits(team: dict[str, Caller], eve: Caller) -> None:
    ada, ben, _, _ = team.values()
    execution = waiting(ada, required="all", assignees=("ben", "cleo"))
    path = f"/executions/{execution.id}/steps/research/assign"
    due = format_rfc3339(timezone.now() + timedelta(hours=1))
    before = state(execution)
    faults: list[tuple[dict[str, Any], str]] = [
        ({"assignees": ["ben", "eve"]}, "/assignees/1"),
        ({"assignees": ["unknown-user"]}, "/assignees/0"),
        ({"assignees": []}, "/assignees"),
        ({"assignees": ["ben"], "due_at": "2020-01-01T00:00:00Z"}, "/due_at"),
        ({"assignee": ["ben"]}, "/assignee"),
    ]
    for body, pointer in faults:
        response = ada.post(path, body)
        assert response.status_code == 422 and pointer in pointers(response), response.content
    assert eve.post(path, {"assignees": ["ben"]}).status_code == 404
    assert ben.post(path, {"assignees": ["ben"]}).json()["code"] == "forbidden"
    assert ada.post(path.replace("research", "summary"), {"assignees": ["ben"]}).json()["code"] == "not-waiting"
    assert ada.post(path, {"assignees": ["ben"]}, **{"If-Match": '"1"'}).status_code == 412
    assert state(execution) == before
    done = ada.post(path, {"assignees": ["dan"], "due_at": due})
    assert (done.status_code, ada.post(path, {"assignees": ["dan"]}).json()) == (200, done.json())
    [entry] = team["dan"].get("/inbox/", {"assigned_to": "me"}).json()["data"]
    assert (entry["assignees"], entry["due_at"], listed(ben, execution)) == (["dan"], due, False)
    assert decide(team["dan"], execution, ACCEPT).json()["status"] == "running"


def test_an_assignment_leaves_a_vote_to_decide(team: dict[str, Caller]) -> None:
    ada, ben, _, _ = team.values()
    execution = waiting(ada, required="all", assignees=("ben", "cleo"))
    assert decide(ben, execution, ACCEPT).json()["status"] == "waiting"
    path = f"/executions/{execution.id}/steps/research/assign"
    response = ada.post(path, {"assignees": ["ben"]})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "already_voted")
    assert ada.post(path, {"assignees": ["ben", "dan"]}).status_code == 200


def test_due_dates_are_told_once(team: dict[str, Caller]) -> None:
    ada = team["ada"]
    execution, now = waiting(ada, due_seconds=100.0), timezone.now()
    seconds = {10: [], 60: ["wait_reminder"], 70: [], 101: ["wait_overdue"], 200: []}
    for later, expected in seconds.items():
        known = len(told(execution))
        assert duties.act_on_deadlines(now=now + timedelta(seconds=later)) == len(expected)
        assert told(execution)[known:] == expected
    overdue = ExecutionEvent.objects.get(execution_id=execution.id, event_type="wait_overdue")
    assert (overdue.data["waiting_on"], overdue.data["assignees"]) == ("acceptance", [])
    assert decide(ada, execution, ACCEPT).json()["status"] == "running"


def test_many_documents_are_accepted_each_on_its_own(team: dict[str, Caller], eve: Caller) -> None:
    ada, ben, _, _ = team.values()
    plain, second, voted = waiting(ada), waiting(ada), waiting(ada, required=2)
    theirs = reports.hand_in(reports.start(eve.user, key="beta"))
    asking = reports.ask(reports.start(ada.user))
    versions = ((plain, 1), (second, 9), (voted, 3), (theirs, 1), (asking, 1))
    items = [
        {"execution_id": str(each.id), "step_id": "research", "document_version": number} for each, number in versions
    ]
    body = {"action": "accept", "items": items}
    for replayed in (None, "true"):
        response = ben.post("/steps/bulk", body, **{"Idempotency-Key": "k"})
        assert (response.status_code, response.headers.get("Idempotency-Replayed")) == (200, replayed)
        found = response.json()["data"]
        assert [each["execution_id"] for each in found] == [each["execution_id"] for each in items]
        states = [each["execution"] and each["execution"]["status"] for each in found]
        codes = [each["problem"] and (each["problem"]["status"], each["problem"]["code"]) for each in found]
        assert states == ["running", None, "waiting", None, None]
        assert codes == [None, (412, "version-conflict"), None, (404, "not-found"), (409, "not-waiting")]
    assert reports.read(second).version == second.version


def test_a_bulk_acceptance_that_is_not_valid_changes_nothing(
    team: dict[str, Caller], restrict: Callable[..., None]
) -> None:
    execution, ben = waiting(team["ada"]), team["ben"]
    item = {"execution_id": str(execution.id), "step_id": "research", "document_version": 1}
    before = counts()
    restrict(bulk_steps=1)
    for body, pointer in (
        ({"action": "reject", "items": [item]}, "/action"),
        ({"action": "accept", "items": []}, "/items"),
        ({"action": "accept", "items": [item, item]}, "/items"),
        ({"action": "accept", "items": [{**item, "document_version": 0}]}, "/items/0/document_version"),
        ({"action": "accept", "items": [{**item, "comment": "x"}]}, "/items/0/comment"),
    ):
        response = ben.post("/steps/bulk", body)
        assert (response.status_code, pointers(response)) == (422, {pointer})
    assert (counts(), reports.read(execution).version) == (before, execution.version)
