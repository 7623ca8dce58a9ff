"""The page of a decision: what it shows, what its forms send, and what another person's decision does to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from documents.models import DocumentVersion
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.execution import Execution
from executions.engine.transitions import acceptance
from executions.services.acceptance import PersonsDecision, decide_acceptance
from executions.services.documents import edit_document, replace_with
from tests.factories import reports
from tests.integration.console.test_edit_pages import HTMX, fields, text_of
from workflows.definitions.definition import ApproversPolicy, WaitPolicy

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(ada: User) -> Execution:
    """An execution whose findings wait for a decision."""
    reports.publish(gated=True)
    return reports.hand_in(reports.start(ada))


def path_of(execution: Execution, name: str = "") -> str:
    return f"/executions/{execution.id}/steps/research/decision/{name}"


def send(browser: Client, execution: Execution, **values: str) -> Any:
    """Send the form of the page with these values."""
    path = path_of(execution)
    return browser.post(path, fields(browser.get(path), "/decision/") | values, headers=HTMX)


def decide(user: User, execution: Execution, action: AcceptanceAction, comment: str = "") -> None:
    version = reports.read(execution).steps["research"].document_version or 0
    said = PersonsDecision(decision=action, document_version=version, comment=comment)
    decide_acceptance(user=user, execution_id=execution.id, step_id="research", said=said, now=timezone.now())


def next_version(execution: Execution, content: dict[str, Any]) -> Execution:
    """Let the step make its document again, after changes were requested."""
    current = reports.claim(reports.read(execution))
    document = replace(reports.paper(current, "research"), content=content)
    call = reports.begun_again(current)
    return reports.move(
        current,
        lambda now, context: acceptance.request_acceptance(now, "research", context=context),
        calls=(call,),
        document=document,
    )


def document_id_of(execution: Execution) -> UUID:
    return DocumentVersion.objects.get(execution_id=execution.id, version=1).document_id


def test_the_page_shows_the_document_and_accepts_it(browser: Client, waiting: Execution) -> None:
    page = browser.get(path_of(waiting))
    assert "Is it true?" in text_of(page)
    assert "The findings" in text_of(page)
    assert f'data-stream="/api/v1/executions/{waiting.id}/stream"' in page.content.decode()
    response = send(browser, waiting, decision="accept", comment="Good.")
    assert (response.status_code, response["HX-Redirect"]) == (204, f"/executions/{waiting.id}/")
    assert reports.read(waiting).steps["research"].decisions[0].comment == "Good."
    done = browser.get(path_of(waiting))
    assert "ada accepted version 1" in text_of(done)
    assert fields(done, "/decision/") == {}
    assert browser.get(path_of(waiting).replace("research", "summary")).status_code == 404  # no document yet
    assert browser.get(path_of(waiting).replace("research", "nothing")).status_code == 404


def test_changes_are_requested_at_passages_and_seen_in_the_next_version(
    ada: User, browser: Client, waiting: Execution
) -> None:
    row = browser.get(f"/documents/{document_id_of(waiting)}/parts/passage/?v=1&near=&quote=The findings&number=n1")
    passage = {"comments.n1.pointer": "/title", "comments.n1.quote": "The findings", "comments.n1.text": "Say which."}
    for name in passage:
        assert f'name="{name}"' in row.content.decode()
    many = {f"comments.m{number}.text": "Shorter." for number in range(101)}
    for values, told in (
        ({"decision": "request_changes"}, "Describe the changes, here or at passages."),
        ({"decision": "request_changes", "only_commented": "on"}, "Comment on the passages that may change."),
        ({"decision": "accept", **passage}, "Remarks at passages are for requesting changes."),
        ({"decision": "request_changes", **passage, "comments.n1.text": ""}, "This field is required."),
        ({"decision": "request_changes", **passage, "comments.n1.quote": "nowhere"}, "The text has no such quote."),
        ({"decision": "request_changes", **passage, "comments.n1.pointer": "/no"}, "The document has no such value."),
        ({"decision": "request_changes", **many}, "At most 100 passages can be named at once."),
    ):
        refused = send(browser, waiting, **values)
        assert refused.status_code == 422
        assert told in text_of(refused)
    other = {name.replace("n1", "n2"): text for name, text in passage.items()} | {"comments.n2.quote": ""}
    response = send(browser, waiting, decision="request_changes", only_commented="on", **passage, **other)
    assert response.status_code == 204
    [made] = reports.read(waiting).steps["research"].decisions
    assert [each.quote for each in made.comments] == ["The findings", ""]
    assert made.only_commented

    next_version(waiting, {"title": "The findings of May"})
    page = browser.get(path_of(waiting))
    assert "Changes since version 1, which was sent back" in text_of(page)
    assert "Say which." in text_of(page)
    assert "<ins" in page.content.decode()


def test_a_version_is_edited_and_accepted_at_once(browser: Client, waiting: Execution) -> None:
    path = path_of(waiting, "edit/?from=inbox")
    sent = fields(browser.get(path), "/decision/edit/")
    wrong = browser.post(path, sent | {"content.jk": "{}"}, headers=HTMX)
    assert wrong.status_code == 422
    response = browser.post(path, sent | {"content.sk/title": "Better findings", "note": "Shorter."}, headers=HTMX)
    assert (response.status_code, response["HX-Redirect"]) == (204, "/inbox/")
    row = DocumentVersion.objects.get(document_id=document_id_of(waiting), version=2)
    assert (row.content, row.note) == ({"title": "Better findings"}, "Shorter.")
    assert reports.read(waiting).steps["research"].document_version == 2


def test_another_persons_decision_is_told_and_the_text_kept(ada: User, browser: Client, waiting: Execution) -> None:
    path, part = path_of(waiting), path_of(waiting, "parts/state/?v=1")
    sent = fields(browser.get(path), "/decision/") | {"comment": "Half a sen"}
    edited = fields(browser.get(f"{path}edit/"), "/decision/edit/") | {"content.sk/title": "Mine"}
    assert "notice" not in browser.get(part).content.decode()
    bob = ensure_user(name="bob")
    ScopeRole.objects.create(scope_id=waiting.scope.id, user=bob, role=Role.REVIEWER)
    decide(bob, waiting, AcceptanceAction.REQUEST_CHANGES, "Shorter.")
    assert "bob asked for changes of version 1" in browser.get(part).content.decode()
    refused = browser.post(path, sent | {"decision": "accept"}, headers=HTMX)
    assert refused.status_code == 422
    assert "Half a sen" in refused.content.decode()
    assert "bob asked for changes of version 1 first." in text_of(refused)

    next_version(waiting, {"title": "Short findings"})
    assert "bob asked for changes of version 1" in browser.get(part).content.decode()
    kept = browser.post(path, sent | {"show": "draft"}, headers=HTMX)
    assert "You wrote this about version 1; version 2 waits now." in text_of(kept)
    assert fields(kept, "/decision/")["document_version"] == "1"  # the page beside the form shows this one
    assert "Show version 2" in text_of(kept)
    assert "Request changes" not in text_of(kept)
    read = browser.post(f"{path}?v=2&head=2", sent | {"show": "draft"}, headers=HTMX)
    assert fields(read, "/decision/")["document_version"] == "2"
    assert "Read it before you send this." in text_of(read)
    stale = browser.post(f"{path}edit/", edited, headers=HTMX)
    assert stale.status_code == 422
    assert "Another version waits now" in text_of(stale)
    again = fields(stale, "/decision/edit/")
    assert (again["content.sk/title"], again["document_version"], again["base"]) == ("Mine", "2", "1")
    again = fields(browser.post(f"{path}edit/", again | {"show": "json"}, headers=HTMX), "/decision/edit/")
    assert (again["document_version"], again["base"]) == ("2", "1")  # what the text does not know is still shown


def test_a_proposed_version_shows_both_differences_and_is_merged(
    ada: User, browser: Client, waiting: Execution
) -> None:
    decide(ada, waiting, AcceptanceAction.REQUEST_CHANGES, "More points.")
    begun = reports.claim(reports.read(waiting))
    document_id = document_id_of(begun)
    edit_document(
        user=ada,
        document_id=document_id,
        edit=replace_with({"title": "Our findings"}),
        expected_versions=None,
        now=timezone.now(),
    )
    next_version(begun, {"title": "The findings", "points": ["One"]})
    page = browser.get(path_of(waiting))
    told = text_of(page)
    assert "Changes to version 2, which counts now" in told
    assert "Changes to version 1, which the step knew" in told
    assert "Keep version 2" in told
    merge = browser.get(path_of(waiting, "edit/"))
    sent = fields(merge, "/decision/edit/")
    assert (sent["content.sk/title"], sent["content.sk/points/0"]) == ("Our findings", "One")
    edit_document(
        user=ada,
        document_id=document_id,
        edit=replace_with({"title": "Other findings"}),
        expected_versions=None,
        now=timezone.now(),
    )
    deciding = fields(page, "/decision/")
    path = path_of(waiting, "edit/")
    for shown in ({}, {"show": "draft"}):
        page = browser.post(path, sent | shown, headers=HTMX)
        assert "ada has made version 4" in text_of(page)
        assert "The document has changed meanwhile" in text_of(page)
        assert "<del" in page.content.decode().partition('id="editor"')[2]
    again = fields(page, "/decision/edit/")
    assert (again["head_version"], again["head_base"]) == ("4", "2")
    merged = browser.post(path, again | {"show": "merge"}, headers=HTMX)
    assert "The fields have the changes of both now." in text_of(merged)
    assert "has changed meanwhile" not in text_of(merged)

    for decision in ("reject", "accept"):
        sent = deciding | {"decision": decision, "comment": "Half a sen"}
        for _ in range(2):  # the page shows the same differences, so the second click stores nothing either
            refused = browser.post(path_of(waiting), sent, headers=HTMX)
            assert (refused.status_code, "Compare again" in text_of(refused)) == (422, True)
            sent = fields(refused, "/decision/") | {"decision": decision}
            assert sent["comment"] == "Half a sen"
    assert browser.post(path, fields(merged, "/decision/edit/"), headers=HTMX).status_code == 204
    assert DocumentVersion.objects.filter(document_id=document_id).latest("version").content == {
        "title": "Other findings",
        "points": ["One"],
    }


def test_a_proposed_version_is_compared_with_the_one_that_its_step_began_with(
    ada: User, browser: Client, waiting: Execution
) -> None:
    decide(ada, waiting, AcceptanceAction.ACCEPT)
    begun, call = reports.begin(reports.claim(reports.start(ada)))
    before = timezone.now() - timedelta(minutes=1)  # the edit took its time before it was stored
    edited = replace_with({"title": "Our findings"})
    edit_document(user=ada, document_id=document_id_of(waiting), edit=edited, expected_versions=None, now=before)
    reports.move(
        begun,
        lambda now, context: acceptance.request_acceptance(now, "research", context=context),
        calls=(reports.answered(call),),
        document=reports.paper(begun, "research"),
    )
    told = text_of(browser.get(path_of(begun)))
    assert "Changes to version 1, which the step knew" in told
    assert "What people have changed since version 1" in told


def test_a_viewer_reads_and_cannot_decide(browser: Client, waiting: Execution) -> None:
    user = ensure_user(name="eve")
    eve = Client()
    eve.force_login(user)
    paths = [path_of(waiting), path_of(waiting, "edit/"), path_of(waiting, "parts/state/?v=1")]
    assert [eve.get(path).status_code for path in paths] == [404, 404, 404]
    ScopeRole.objects.create(scope_id=waiting.scope.id, user=user, role=Role.VIEWER)
    assert [eve.get(path).status_code for path in paths] == [200, 403, 200]
    assert "Your role in this scope does not allow decisions." in text_of(eve.get(paths[0]))
    sent = fields(browser.get(paths[0]), "/decision/") | {"decision": "reject"}
    assert eve.post(paths[0], sent, headers=HTMX).status_code == 403
    assert reports.read(waiting).steps["research"].decisions == ()


def test_the_page_offers_only_what_the_approvers_permit(browser: Client, ada: User) -> None:
    reports.publish(gated=True)
    policy = WaitPolicy(approvers=ApproversPolicy(required=1, four_eyes=True))
    of_ada = text_of(browser.get(path_of(reports.hand_in(reports.start(ada), policy))))
    assert "You started this execution, so another user has to decide about this document." in of_ada
    assert "Request changes" not in of_ada
    of_ben = reports.hand_in(reports.start(ensure_user(name="ben"), key="of-ben"), policy)
    ScopeRole.objects.create(scope_id=of_ben.scope.id, user=ada, role=Role.REVIEWER)
    page = browser.get(path_of(of_ben))
    assert "Request changes" in text_of(page)
    assert f'href="/documents/{document_id_of(of_ben)}/edit/">Edit the document<' in page.content.decode()
    assert "Edit, then accept" not in text_of(page)
