"""Accepting with edits, changes at passages, and decisions about proposed versions."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from documents.models import Document, DocumentVersion
from executions import models
from executions.engine.domain.execution import Execution
from executions.engine.transitions import acceptance
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers
from tests.support.two_connections import elsewhere

pytestmark = pytest.mark.django_db

ACCEPT = {"decision": "accept", "document_version": 1}
ASK = {"decision": "request_changes", "document_version": 1}
TITLE = {"pointer": "/title", "text": "Say of what."}


@pytest.fixture
def waiting(ada: Caller) -> Execution:
    """An execution of Ada's whose document waits for a decision."""
    reports.publish(gated=True)
    return reports.hand_in(reports.start(ada.user))


@pytest.fixture
def proposed(ada: Caller) -> Execution:
    """An execution whose second version is only proposed: Ada edited the first while the model wrote."""
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    document_id = waiting.steps["research"].document_id
    decide(ada, waiting, {**ASK, "comment": "Shorter."})
    response = ada.put(f"/documents/{document_id}", {"content": {"title": "By Ada"}}, If_Match='"1"')
    assert response.status_code == 200, response.content
    return hand_in_again(waiting)


def hand_in_again(execution: Execution) -> Execution:
    """Let the model hand in the version that a request for changes has asked for."""
    call = reports.begun_again(execution)
    return reports.move(
        reports.claim(reports.read(execution)),
        lambda now, context: acceptance.request_acceptance(now, "research", context=context),
        calls=(call,),
        document=reports.paper(execution, "research"),
    )


def decide(caller: Caller, execution: Execution, body: object) -> Any:
    return caller.post(f"/executions/{execution.id}/steps/research/acceptance", body)


def versions() -> list[tuple[int, str, str, bool]]:
    """Return number, title, author and proposal of each version of the document."""
    rows = DocumentVersion.objects.order_by("version")
    return list(rows.values_list("version", "title", "author_name", "proposed"))


def proposals(caller: Caller) -> tuple[int | None, int | None]:
    """Return the proposed version that the list and the document tell of."""
    [listed] = caller.get("/documents/").json()["data"]
    return listed["proposed_version"], caller.get(f"/documents/{listed['id']}").json()["proposed_version"]


def types(execution: Execution) -> list[str]:
    rows = ExecutionEvent.objects.filter(execution_id=execution.id, sequence__gt=execution.last_sequence)
    return list(rows.order_by("sequence").values_list("event_type", flat=True))


@pytest.mark.parametrize(
    "change",
    [{"content": {"title": "By Ada"}}, {"patch": [{"op": "replace", "path": "/title", "value": "By Ada"}]}],
)
def test_an_edit_is_stored_and_accepted_at_once(ada: Caller, waiting: Execution, change: dict[str, Any]) -> None:
    response = decide(ada, waiting, {**ACCEPT, **change, "note": "A better title."})
    assert response.status_code == 200, response.content
    assert versions() == [(1, "The findings", "", False), (2, "By Ada", "ada", False)]
    assert types(waiting) == ["document_edited", "acceptance_decided", "execution_resumed", "step_completed"]
    step = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]
    assert (step["status"], step["document"]["version"]) == ("completed", 2)


def test_an_invalid_edit_leaves_the_decision_open(ada: Caller, waiting: Execution) -> None:
    response = decide(ada, waiting, {**ACCEPT, "content": {"points": []}})
    assert (response.status_code, pointers(response)) == (422, {"/content"})
    assert (len(versions()), types(waiting)) == (1, [])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**ASK, "comment": "x", "content": {"title": "x"}}, "/content"),
        ({"decision": "reject", "document_version": 1, "patch": []}, "/patch"),
        ({**ACCEPT, "content": {"title": "x"}, "patch": []}, "/patch"),
        ({**ACCEPT, "comments": [{"pointer": "", "text": "x"}]}, "/comments"),
        ({**ASK, "comment": "x", "only_commented": True}, "/only_commented"),
        ({**ASK, "comments": [{"pointer": "no slash", "text": "x"}]}, "/comments/0/pointer"),
        ({**ASK, "comments": [{"pointer": "/nothing", "text": "x"}]}, "/comments/0/pointer"),
        ({**ASK, "comments": [TITLE, {"pointer": "/title/0", "quote": "find", "text": "x"}]}, "/comments/1/pointer"),
        ({**ASK, "comments": [TITLE, {**TITLE, "quote": "nowhere"}], "only_commented": True}, "/comments/1/quote"),
        ({**ACCEPT, "note": "Why?"}, "/note"),
        (ASK, "/comment"),
    ],
)
def test_what_does_not_belong_to_a_decision_is_named(
    ada: Caller, waiting: Execution, body: dict[str, Any], pointer: str
) -> None:
    response = decide(ada, waiting, body)
    assert (response.status_code, pointers(response)) == (422, {pointer})
    assert types(waiting) == []


def test_changes_at_passages_reach_the_model_as_violations(ada: Caller, waiting: Execution) -> None:
    comment = {"pointer": "/title", "quote": "findings", "text": "Say of what."}
    response = decide(ada, waiting, {**ASK, "comments": [comment], "only_commented": True})
    assert response.status_code == 200, response.content
    step = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]
    detail = "“findings”: Say of what."
    assert step["violations"] == [{"pointer": "/title", "code": "changes_requested", "detail": detail}]
    [decision] = step["acceptance"]["decisions"]
    assert (decision["comments"], decision["only_commented"]) == ([comment], True)


def test_a_proposed_version_waits_beside_the_persons(ada: Caller, proposed: Execution) -> None:
    assert versions() == [(1, "The findings", "", False), (2, "By Ada", "ada", False), (3, "The findings", "", True)]
    head = Document.objects.get()
    assert (head.version, head.last_version, head.title) == (2, 3, "By Ada")
    assert proposals(ada) == (3, 3)
    shown = ada.get(f"/documents/{head.id}").json()
    assert (shown["version"], shown["proposed_version"], shown["content"]) == (2, 3, {"title": "By Ada"})
    step = ada.get(f"/executions/{proposed.id}/steps").json()["data"][0]
    assert (step["document"]["version"], step["document"]["proposed"]) == (3, True)


def test_a_proposal_is_accepted_in_place_of_a_named_version(ada: Caller, proposed: Execution) -> None:
    accept = {"decision": "accept", "document_version": 3}
    assert pointers(decide(ada, proposed, accept)) == {"/head_version"}
    assert decide(ada, proposed, {**accept, "head_version": 1}).status_code == 412
    assert decide(ada, proposed, {**accept, "head_version": 2}).status_code == 200
    assert versions()[-1] == (4, "The findings", "", False)
    assert (Document.objects.get().version, proposals(ada)) == (4, (None, None))


def test_a_proposal_is_merged(ada: Caller, proposed: Execution) -> None:
    body = {"decision": "accept", "document_version": 3, "head_version": 2, "content": {"title": "Both"}}
    assert decide(ada, proposed, body).status_code == 200
    assert versions()[-1] == (4, "Both", "ada", False)


def test_a_rejected_proposal_keeps_the_persons_version(ada: Caller, proposed: Execution) -> None:
    response = decide(ada, proposed, {"decision": "reject", "document_version": 3})
    assert (response.status_code, response.json()["status"]) == (200, "running")
    step = ada.get(f"/executions/{proposed.id}/steps").json()["data"][0]
    assert (step["status"], step["document"]["version"]) == ("completed", 2)
    assert proposals(ada) == (None, None)


def test_a_rejection_keeps_the_version_that_it_names(ada: Caller, proposed: Execution) -> None:
    reject = {"decision": "reject", "document_version": 3}
    assert decide(ada, proposed, {**reject, "head_version": 1}).status_code == 412
    assert decide(ada, proposed, {**reject, "head_version": 2}).status_code == 200
    asked = {**ASK, "comment": "Shorter.", "head_version": 2}
    assert pointers(decide(ada, proposed, asked)) == {"/head_version"}


def test_a_rejection_without_a_proposal_may_name_the_newest_version(ada: Caller, waiting: Execution) -> None:
    reject = {"decision": "reject", "document_version": 1}
    assert decide(ada, waiting, {**reject, "head_version": 2}).status_code == 412
    assert decide(ada, waiting, {**reject, "head_version": 1}).status_code == 200


@pytest.fixture
def edited_after_the_end(ada: Caller) -> Execution:
    """An execution that waits again for a decision about version 1, after a person has made version 2."""
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    assert ada.post(f"/executions/{waiting.id}/cancel").status_code == 200
    document_id = waiting.steps["research"].document_id
    response = ada.put(f"/documents/{document_id}", {"content": {"title": "By Ada"}}, If_Match='"1"')
    assert response.status_code == 200, response.content
    assert ada.post(f"/executions/{waiting.id}/retry").status_code == 200
    return reports.read(waiting)


def test_an_edit_replaces_no_version_that_was_not_read(ada: Caller, edited_after_the_end: Execution) -> None:
    body = {**ACCEPT, "content": {"title": "By Eve"}}
    assert pointers(decide(ada, edited_after_the_end, body)) == {"/head_version"}
    assert decide(ada, edited_after_the_end, {**body, "head_version": 1}).status_code == 412
    assert decide(ada, edited_after_the_end, {**body, "head_version": 2}).status_code == 200
    assert versions()[-1] == (3, "By Eve", "ada", False)


def test_a_decision_about_an_older_version_has_not_seen_the_edit(ada: Caller, edited_after_the_end: Execution) -> None:
    assert decide(ada, edited_after_the_end, {**ASK, "comment": "Shorter."}).status_code == 200
    hand_in_again(edited_after_the_end)
    assert versions()[-1] == (3, "The findings", "", True)
    assert Document.objects.get().title == "By Ada"


def test_errors_of_a_patch_lead_into_the_request(ada: Caller, waiting: Execution) -> None:
    response = decide(ada, waiting, {**ACCEPT, "patch": [{"op": "remove", "path": "/none"}]})
    assert (response.status_code, pointers(response)) == (422, {"/patch/0/path"})


@pytest.mark.parametrize(
    "change",
    [{"content": {"title": "By Ada"}}, {"patch": [{"op": "replace", "path": "/title", "value": "By Ada"}]}],
)
def test_the_same_edit_again_changes_nothing_and_another_is_a_conflict(
    ada: Caller, waiting: Execution, change: dict[str, Any]
) -> None:
    body = {**ACCEPT, **change, "note": "A better title."}
    first = decide(ada, waiting, body)
    again = decide(ada, waiting, body)
    assert (again.status_code, again.json()) == (200, first.json())
    others = [ACCEPT, {**body, "note": "Another reason."}, {**ACCEPT, "content": {"title": "By Eve"}}]
    assert [decide(ada, waiting, each).status_code for each in others] == [409, 409, 409]
    assert len(versions()) == 2


def test_a_plain_accept_is_not_the_same_as_a_merge(ada: Caller, proposed: Execution) -> None:
    accept = {"decision": "accept", "document_version": 3, "head_version": 2}
    merge = {**accept, "content": {"title": "Both"}}
    assert [decide(ada, proposed, each).status_code for each in (merge, merge, accept)] == [200, 200, 409]


def test_a_version_that_was_compared_has_to_be_the_head(ada: Caller, waiting: Execution) -> None:
    assert decide(ada, waiting, {**ACCEPT, "head_version": 2}).status_code == 412
    assert decide(ada, waiting, {**ACCEPT, "head_version": 1}).status_code == 200


def accepted(caller: Caller, number: int) -> bool:
    """Return whether the file of a version says that it was accepted."""
    document_id = Document.objects.get().id
    return b"Accepted by ada" in caller.get(f"/documents/{document_id}/versions/{number}?format=markdown").content


def test_the_accepted_version_is_the_one_that_was_stored(ada: Caller, waiting: Execution) -> None:
    decide(ada, waiting, {**ACCEPT, "content": {"title": "By Ada"}})
    assert [accepted(ada, 1), accepted(ada, 2)] == [False, True]
    step = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]
    [decision] = step["acceptance"]["decisions"]
    assert (decision["document_version"], decision["accepted_version"]) == (1, 2)


def test_a_version_that_was_edited_before_is_accepted(ada: Caller, waiting: Execution) -> None:
    document_id = waiting.steps["research"].document_id
    assert ada.put(f"/documents/{document_id}", {"content": {"title": "By Ada"}}, If_Match='"1"').status_code == 200
    decide(ada, waiting, {**ACCEPT, "document_version": 2})
    assert [accepted(ada, 1), accepted(ada, 2)] == [False, True]


def test_an_accepted_proposal_is_accepted_as_the_head(ada: Caller, proposed: Execution) -> None:
    decide(ada, proposed, {"decision": "accept", "document_version": 3, "head_version": 2})
    assert [accepted(ada, each) for each in (1, 2, 3, 4)] == [False, False, False, True]


def test_an_edit_keeps_what_its_base_was_made_with(ada: Caller, waiting: Execution) -> None:
    DocumentVersion.objects.update(provenance={"model": "p:m", "role": "Analyst", "rehearsal": True, "attempt": 2})
    decide(ada, waiting, {**ACCEPT, "content": {"title": "By Ada"}})
    made = DocumentVersion.objects.get(version=2).provenance
    assert made == {"model": "p:m", "role": "Analyst", "rehearsal": True, "inputs": []}


def test_other_open_executions_of_the_document_hear_of_an_accepted_edit(ada: Caller, waiting: Execution) -> None:
    other = reports.hand_in(reports.start(ada.user))  # version 2 is the head, and waits as well
    body = {**ACCEPT, "content": {"title": "By Ada"}, "head_version": 2}
    assert decide(ada, waiting, body).status_code == 200
    assert types(other) == ["document_edited"]
    assert reports.read(other).steps["research"].document_version == 3
    told = ExecutionEvent.objects.filter(event_type="document_edited").order_by("scope_sequence")
    assert [(each.execution_id, each.data["repeated"]) for each in told] == [(waiting.id, False), (other.id, True)]


def test_a_proposal_is_told_of_as_long_as_it_waits(ada: Caller) -> None:
    reports.publish(gated=True)
    first, second = (reports.hand_in(reports.start(ada.user)) for _ in range(2))
    document_id = first.steps["research"].document_id
    decide(ada, first, {**ASK, "comment": "Shorter."})
    decide(ada, second, {**ASK, "document_version": 2, "comment": "Longer."})
    ada.put(f"/documents/{document_id}", {"content": {"title": "By Ada"}}, If_Match='"2"')
    hand_in_again(first)
    hand_in_again(second)
    assert proposals(ada) == (5, 5)
    decide(ada, second, {"decision": "reject", "document_version": 5})
    assert proposals(ada) == (4, 4)
    ada.post(f"/executions/{first.id}/cancel")
    assert proposals(ada) == (None, None)
    ada.post(f"/executions/{first.id}/retry")
    assert proposals(ada) == (4, 4)
    ada.post(f"/executions/{first.id}/cancel")
    ada.post(f"/executions/{first.id}/retry", {"from_step": "research"})
    assert proposals(ada) == (None, None)


def test_a_newest_version_that_does_not_fit_the_step_is_not_kept(ada: Caller, proposed: Execution) -> None:
    DocumentVersion.objects.filter(version=2).update(content={"text": "Without a title"})
    response = decide(ada, proposed, {"decision": "reject", "document_version": 3})
    assert (response.status_code, pointers(response)) == (422, {""})
    assert response.json()["detail"].startswith("The newest version is not valid for this step")
    assert proposals(ada) == (3, 3)


@pytest.mark.django_db(transaction=True)
def test_a_stranger_does_not_wait_for_a_lock(ada: Caller, eve: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    with transaction.atomic():
        models.Execution.objects.select_for_update().get(id=waiting.id)
        body = {**ACCEPT, "content": {"title": "By Eve"}}
        assert elsewhere(lambda: decide(eve, waiting, body)).status_code == 404
