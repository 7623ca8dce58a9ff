"""Lists and searches of the admin do not read large tables whole, nor large texts that they do not show."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.models import AuditEntry
from executions.models import Execution, ExecutionEvent, ExecutionStep
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

LISTS = {
    "executions/execution": ("executions_execution", ("input", "script")),
    "executions/executionstep": ("executions_executionstep", ("rounds", "decisions", "violations")),
    "executions/executionevent": ("executions_executionevent", ("data",)),
    "documents/document": ("documents_document", ("search",)),
    "documents/documentversion": ("documents_documentversion", ("content", "provenance")),
    "telemetry/modelcall": ("telemetry_modelcall", ("reply",)),
}
BY_EXECUTION = ("executions/executionstep", "executions/executionevent", "telemetry/modelcall")


def statements(browser: Client, address: str) -> list[str]:
    """Return the statements that a page sends."""
    with CaptureQueriesContext(
        connection,
    ) as sent:
        assert browser.get(address).status_code == 200
    return [each["sql"] for each in sent.captured_queries]


@pytest.fixture
def execution(ada: Caller, report: int) -> Execution:
    """An execution with steps, events, documents and calls."""
    reports.finish(reports.start(ada.user, key="other"))
    return Execution.objects.get(pk=reports.finish(reports.start(ada.user)).id)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_reads_neither_the_values_of_filters_nor_texts(
    admin_client: Client, execution: Execution, path: str
) -> None:
    table, texts = LISTS[path]
    sent = [each for each in statements(admin_client, f"/admin/{path}/") if f'FROM "{table}"' in each]
    assert sent
    assert [each for each in sent if "DISTINCT" in each] == []
    assert [each for each in sent for text in texts if f'"{table}"."{text}",' in each] == []


@pytest.mark.parametrize("path", BY_EXECUTION)
def test_a_search_by_id_uses_an_index(admin_client: Client, execution: Execution, path: str) -> None:
    table, _ = LISTS[path]
    address = f"/admin/{path}/?q={execution.id}+research"
    searched = [each for each in statements(admin_client, address) if f'FROM "{table}"' in each and "WHERE" in each]
    assert searched
    assert all(f'"{table}"."execution_id" = \'{execution.id.hex}\'' in each for each in searched)
    assert not any("UPPER" in each for each in searched)
    rows = admin_client.get(address).context["cl"].result_list
    assert {(row.execution_id, row.step_id) for row in rows} == {(execution.id, "research")}
    whole = admin_client.get(f"/admin/{path}/?q={execution.id}").context["cl"].result_list
    models = (ExecutionStep, ExecutionEvent, ModelCall)
    model = dict(zip(BY_EXECUTION, models, strict=True))[path]
    assert len(whole) == model._default_manager.filter(execution_id=execution.id).count()
    assert len(admin_client.get(f"/admin/{path}/?q=research").context["cl"].result_list) == 0


@pytest.mark.parametrize("path", ["documents/document", "documents/documentversion"])
def test_documents_are_found_by_the_id_of_their_execution(
    admin_client: Client, execution: Execution, path: str
) -> None:
    rows = admin_client.get(f"/admin/{path}/?q={execution.id}").context["cl"].result_list
    assert {row.execution_id for row in rows} == {execution.id}
    assert len(admin_client.get(f"/admin/{path}/?q=findings").context["cl"].result_list) > 0


def test_the_audit_log_and_jobs_are_searched_by_whole_ids(admin_client: Client, execution: Execution) -> None:
    entry = AuditEntry.objects.exclude(subject_id="").order_by("id")[0]
    address = f"/admin/access/auditentry/?q={entry.subject_id}"
    assert any(f"\"subject_id\" = '{entry.subject_id}'" in each for each in statements(admin_client, address))
    assert entry in admin_client.get(address).context["cl"].result_list
    sent = statements(admin_client, f"/admin/procrastinate/procrastinatejob/?q={execution.id}")
    assert any(f"\"lock\" = '{execution.id}'" in each for each in sent)
    assert not any("UPPER" in each for each in sent)


def test_executions_are_filtered_by_a_workflow(admin_client: Client, execution: Execution) -> None:
    page = admin_client.get("/admin/executions/execution/?workflow_id=report")
    assert len(page.context["cl"].result_list) == 2
    assert "?workflow_id=report" in admin_client.get("/admin/executions/execution/").content.decode()
    assert len(admin_client.get("/admin/executions/execution/?workflow_id=none").context["cl"].result_list) == 0


def test_the_page_of_an_execution_reads_no_contents_and_no_replies(admin_client: Client, execution: Execution) -> None:
    sent = statements(admin_client, f"/admin/executions/execution/{execution.id}/change/")
    texts = ('"documents_documentversion"."content"', '"telemetry_modelcall"."reply"')
    assert [each for each in sent for text in texts if text in each] == []
