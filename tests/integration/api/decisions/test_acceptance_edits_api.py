"""Accepting with edits, changes at passages, and decisions about proposed versions."""

from __future__ import annotations

from typing import Any

import pytest

from documents.models import Document, DocumentVersion
from executions.engine.domain.execution import Execution
from executions.engine.transitions import acceptance
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers

pytestmark = pytest.mark.django_db

ACCEPT = {"decision": "accept", "document_version": 1}
ASK = {"decision": "request_changes", "document_version": 1}


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
    call = reports.begun_again(waiting)
    return reports.move(
        reports.claim(reports.read(waiting)),
        lambda now, context: acceptance.request_acceptance(now, "research", context=context),
        calls=(call,),
        document=reports.paper(waiting, "research"),
    )


def decide(caller: Caller, execution: Execution, body: object) -> Any:
    return caller.post(f"/executions/{execution.id}/steps/research/acceptance", body)


def versions() -> list[tuple[int, str, str, bool]]:
    """Return number, title, author and proposal of each version of the document."""
    rows = DocumentVersion.objects.order_by("version")
    return list(rows.values_list("version", "title", "author_name", "proposed"))


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
    assert (head.version, head.last_version, head.proposed_version, head.title) == (2, 3, 3, "By Ada")
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
    head = Document.objects.get()
    assert (head.version, head.proposed_version) == (4, None)


def test_a_proposal_is_merged(ada: Caller, proposed: Execution) -> None:
    body = {"decision": "accept", "document_version": 3, "head_version": 2, "content": {"title": "Both"}}
    assert decide(ada, proposed, body).status_code == 200
    assert versions()[-1] == (4, "Both", "ada", False)


def test_a_rejected_proposal_keeps_the_persons_version(ada: Caller, proposed: Execution) -> None:
    response = decide(ada, proposed, {"decision": "reject", "document_version": 3})
    assert (response.status_code, response.json()["status"]) == (200, "running")
    step = ada.get(f"/executions/{proposed.id}/steps").json()["data"][0]
    assert (step["status"], step["document"]["version"]) == ("completed", 2)
    assert Document.objects.get().proposed_version is None


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
    call = reports.begun_again(edited_after_the_end)
    reports.move(
        reports.claim(reports.read(edited_after_the_end)),
        lambda now, context: acceptance.request_acceptance(now, "research", context=context),
        calls=(call,),
        document=reports.paper(edited_after_the_end, "research"),
    )
    assert versions()[-1] == (3, "The findings", "", True)
    assert Document.objects.get().title == "By Ada"


def test_errors_of_a_patch_lead_into_the_request(ada: Caller, waiting: Execution) -> None:
    response = decide(ada, waiting, {**ACCEPT, "patch": [{"op": "remove", "path": "/none"}]})
    assert (response.status_code, pointers(response)) == (422, {"/patch/0/path"})
