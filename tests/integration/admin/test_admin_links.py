"""Pages of the admin lead to what belongs together, and to the pages of the console."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib import admin
from django.test import Client
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.admin import ModelAdmin as UnfoldAdmin
from unfold.admin import TabularInline

from access.models import Scope
from documents.models import Document, DocumentVersion
from executions.models import Execution, ExecutionStep
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def execution(ada: Caller, report: int) -> Execution:
    """An execution that has ended."""
    return Execution.objects.get(id=reports.finish(reports.start(ada.user)).id)


def links(browser: Client, row: object) -> set[str]:
    """Return the addresses to which the page of a row leads."""
    meta = row._meta  # type: ignore[attr-defined]
    response = browser.get(f"/admin/{meta.app_label}/{meta.model_name}/{row.pk}/change/")  # type: ignore[attr-defined]
    assert response.status_code == 200
    return {unescape(found) for found in re.findall(r'href="([^"]+)"', response.content.decode())}


def test_each_page_leads_to_its_page_in_the_console(admin_client: Client, execution: Execution) -> None:
    document = Document.objects.get(type="findings")
    pages = {
        execution: f"/executions/{execution.id}/",
        document: f"/documents/{document.id}/",
        DocumentVersion.objects.get(document=document): f"/documents/{document.id}/?v=1",
        Workflow.objects.get(): "/workflows/report/",
        WorkflowVersion.objects.get(): "/workflows/report/?v=1",
        execution.scope: f"/scopes/{execution.scope.type}/{execution.scope.key}/",
    }
    for row, page in pages.items():
        assert page in links(admin_client, row), row
        assert admin_client.get(page).status_code == 200


def test_what_belongs_together_is_linked(admin_client: Client, execution: Execution) -> None:
    page = f"/admin/executions/execution/{execution.id}/change/"
    for row in (ModelCall.objects.all()[0], ExecutionStep.objects.all()[0], *DocumentVersion.objects.all()):
        assert page in links(admin_client, row), row
    scope = f"/admin/access/scope/{execution.scope_id}/change/"
    for row in (execution, Document.objects.all()[0], ModelCall.objects.all()[0]):
        assert scope in links(admin_client, row), row


@pytest.mark.parametrize("model", [Execution, Scope, Workflow, WorkflowVersion, Document])
def test_each_list_that_a_page_names_has_its_rows(
    admin_client: Client, execution: Execution, model: type[Execution]
) -> None:
    Scope.objects.create(type="epic", key="e", parent=execution.scope, root=execution.scope)
    found = {each for row in model._default_manager.all() for each in links(admin_client, row)}
    lists = {each for each in found if re.match(r"/admin/\w+/\w+/\?", each)}
    assert len(lists) >= 1
    for address in lists:
        response = admin_client.get(address)
        assert response.status_code == 200, address
        is_rightly_empty = "scopebudget" in address or "parent__id" in address or "/document/?scope__id" in address
        assert response.context["cl"].result_list or is_rightly_empty, address


def test_ids_are_short_and_costs_are_money(admin_client: Client, execution: Execution) -> None:
    page = admin_client.get("/admin/telemetry/modelcall/").content.decode()
    assert f'title="{execution.id}"' in page
    assert f">{execution.id}<" not in page
    assert '<span title="0.0012000000">$0.001200</span>' in page


def test_contents_are_shown_for_reading(admin_client: Client, execution: Execution) -> None:
    version = DocumentVersion.objects.filter(title="The findings").get()
    page = admin_client.get(f"/admin/documents/documentversion/{version.pk}/change/").content.decode()
    assert "<dt" in page
    assert "<summary" in page
    definition = admin_client.get(f"/admin/workflows/workflowversion/{WorkflowVersion.objects.get().pk}/change/")
    assert "id: report\n" in definition.content.decode()


def test_jobs_are_only_looked_at(admin_client: Client, execution: Execution) -> None:
    job = ProcrastinateJob.objects.all()[0]
    path = f"/admin/procrastinate/procrastinatejob/{job.pk}/"
    page = admin_client.get("/admin/procrastinate/procrastinatejob/").content.decode()
    assert f"/admin/executions/execution/{execution.id}/change/" in page
    assert 'name="action"' not in page
    for name in ("retry", "cancel", "abort"):
        form = {"action": name, "_selected_action": [job.pk]}
        admin_client.post("/admin/procrastinate/procrastinatejob/", form)
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("todo", 0)
    assert admin_client.post(f"{path}change/", {"status": "doing"}).status_code == 403
    assert admin_client.post(f"{path}delete/", {"post": "yes"}).status_code == 403


def test_every_page_is_unfolds() -> None:
    pages = {model._meta.label: type(page) for model, page in admin.site._registry.items()}
    assert [label for label, page in pages.items() if not issubclass(page, UnfoldAdmin)] == []
    inlines = {each for page in admin.site._registry.values() for each in page.inlines}
    assert [each for each in inlines if not issubclass(each, TabularInline)] == []


def test_the_audit_log_leads_to_what_it_is_about(admin_client: Client, execution: Execution) -> None:
    page = admin_client.get("/admin/access/auditentry/").content.decode()
    assert "Audit log" in page
    assert "entrys" not in page
    assert f"/admin/executions/execution/{execution.id}/change/" in page
    assert f'title="{execution.id}"' in page


def test_no_page_shows_the_digest_of_a_token(admin_client: Client, ada: Caller) -> None:
    from knox.models import AuthToken

    from access.services import issue_token

    issue_token(ada.user)
    token = AuthToken.objects.all()[0]
    for path in ("", f"{token.pk}/change/"):
        page = admin_client.get(f"/admin/knox/authtoken/{path}").content.decode()
        assert f"{token.token_key}…" in page
        assert f">{token.digest}" not in page
