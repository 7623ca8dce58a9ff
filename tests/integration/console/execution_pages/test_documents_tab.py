"""The tab with the documents of an execution."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.user import User
from console.execution_pages.document_tab import PAGE_SIZE
from documents.models import DocumentVersion
from documents.rendering.formats import FORMATS
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionStep
from executions.services.acceptance import PersonsDecision, decide_acceptance
from tests.factories import reports
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12


@pytest.fixture(autouse=True)
def published() -> None:
    reports.publish(gated=True)


def path_of(execution: Execution, query: str = "") -> str:
    return f"/executions/{execution.id}/documents/{query}"


def accept(user: User, execution: Execution) -> Execution:
    said = PersonsDecision(decision=AcceptanceAction.ACCEPT, document_version=1)
    return decide_acceptance(user=user, execution_id=execution.id, step_id="research", said=said, now=timezone.now())


def test_documents_stand_by_step_with_their_state(ada: User, browser: Client) -> None:
    execution = reports.hand_in(reports.start(ada))
    waiting = browser.get(path_of(execution))
    assert re.search(r"Research The findings v1 · 2\d.bytes waits for a decision", text_of(waiting))
    assert "as one file" not in text_of(waiting)
    accept(ada, execution)
    accepted = browser.get(path_of(execution))
    assert "accepted by ada, " in text_of(accepted)
    for name in FORMATS:
        assert f'href="/api/v1/executions/{execution.id}/export?format={name}"' in accepted.content.decode()
    document = reports.read(execution).steps["research"].document_id
    assert f'href="/documents/{document}/?v=1"' in accepted.content.decode()


@pytest.mark.parametrize("mark", ["rehearsal", "prepared"])
def test_what_no_model_wrote_is_marked(ada: User, browser: Client, mark: str) -> None:
    execution = reports.hand_in(reports.start(ada))
    row = DocumentVersion.objects.get(execution_id=execution.id)
    row.provenance = {**row.provenance, mark: True}
    row.save()
    assert f'<span class="tag">{mark}</span>' in browser.get(path_of(execution)).content.decode()


def test_of_an_erased_execution_nothing_can_be_downloaded(ada: User, browser: Client) -> None:
    execution = reports.hand_in(reports.start(ada))
    accept(ada, execution)
    ExecutionRow.objects.filter(id=execution.id).update(erased_at=timezone.now())
    DocumentVersion.objects.filter(execution_id=execution.id).update(erased_at=timezone.now())
    page = browser.get(path_of(execution))
    assert "as one file" not in text_of(page)
    assert '<span class="tag">erased</span>' in page.content.decode()
    assert "was erased" in text_of(page)


def test_many_documents_come_in_pages_of_bounded_cost(ada: User, browser: Client) -> None:
    execution = reports.hand_in(reports.start(ada))
    with CaptureQueriesContext(connection) as few:
        browser.get(path_of(execution))
    row = ExecutionStep.objects.get(execution_id=execution.id, step_id="research")
    for number in range(PAGE_SIZE):
        row.pk, row.step_id, row.item_order = None, f"research@{number}", number + 1
        row.save()
    with CaptureQueriesContext(connection) as many:
        page = browser.get(path_of(execution))
    assert len(few) == len(many) <= MAX_QUERIES
    assert len(re.findall("<li data-step", page.content.decode())) == PAGE_SIZE
    [following] = re.findall(r'href="\?(cursor=[^"]+)" rel="next"', page.content.decode())
    assert len(re.findall("<li data-step", browser.get(path_of(execution, f"?{following}")).content.decode())) == 1
    assert browser.get(path_of(execution, "?cursor=x")).status_code == 404


def test_without_documents_it_says_so(ada: User, browser: Client) -> None:
    assert "Documents appear here when they are made." in text_of(browser.get(path_of(reports.start(ada))))
