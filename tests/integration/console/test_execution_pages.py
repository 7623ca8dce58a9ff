"""Two executions side by side, and the ways that lead there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.executions.compare_pages import MAX_STEPS
from documents.models import DocumentVersion
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionStep
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

COMPARE = "/executions/compare/"
MAX_QUERIES = 30


@pytest.fixture
def pair(ada: User) -> tuple[Execution, Execution]:
    """Two executions in one scope; the second one found out more."""
    reports.publish()
    first = reports.finish(reports.start(ada), cost="0.01")
    second = reports.finish(reports.start(ada), cost="0.02")
    rows = DocumentVersion.objects.filter(execution_id=second.id, step_id="research")
    rows.update(content={"title": "The findings", "points": ["one"]}, content_hash="0" * 64)
    return first, second


def compared(browser: Client, *pair: Execution) -> Any:
    response = browser.get(COMPARE, dict(zip("ab", (str(each.id) for each in pair), strict=True)))
    assert response.status_code == 200
    return response


def row_of(page: Any, name: str) -> str:
    """Return what the table says in the row of a step."""
    rows = re.findall(r"<tr.*?</tr>", page.content.decode(), re.DOTALL)
    [found] = [each for each in rows if re.search(rf'<th scope="row">\s*{name}', each)]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())


def test_documents_costs_and_models_stand_side_by_side(browser: Client, pair: tuple[Execution, Execution]) -> None:
    page = compared(browser, *pair)
    research, summary = row_of(page, "Research"), row_of(page, "Summary")
    assert re.search(r"1 change: 1 added .* The findings v1 .* \$0\.01 .* The findings v2 .* \$0\.02", research)
    assert "scripted:writer" in research
    assert re.search(r"\d s · 1 call · 160 tokens", research)
    assert "Equal" in summary
    assert re.search(r"completed .* \$0\.02 .* completed .* \$0\.04", row_of(page, "Whole execution"))
    findings = pair[0].steps["research"].document_id
    content = page.content.decode()
    assert f'href="/documents/{findings}/compare/?a=1&amp;b=2"' in content
    for address in (f"/documents/{findings}/?v=1", f"/documents/{findings}/?v=2", f"/executions/{pair[1].id}/"):
        assert f'href="{address}"' in content


def test_the_changes_lead_from_the_first_to_the_second(browser: Client, pair: tuple[Execution, Execution]) -> None:
    page = compared(browser, *reversed(pair))
    assert "1 change: 1 removed" in row_of(page, "Research")
    assert "compare/?a=2&amp;b=1" in page.content.decode()


def test_without_the_first_one_it_is_the_execution_before(
    ada: User, browser: Client, pair: tuple[Execution, Execution]
) -> None:
    third = reports.start(ada)
    page = browser.get(COMPARE, {"b": str(third.id)})
    assert re.search(rf'<option value="{pair[1].id}" selected>', page.content.decode())
    assert re.search(rf'<option value="{third.id}" selected>', page.content.decode())
    assert len(re.findall("<option", page.content.decode())) == 6  # three for each side
    lonely = browser.get(COMPARE, {"b": str(reports.start(ada, "beta").id)})
    assert "There is no earlier execution of this workflow in this scope." in text_of(lonely)


def test_documents_of_two_scopes_have_no_common_history(
    ada: User, browser: Client, pair: tuple[Execution, Execution]
) -> None:
    other = reports.finish(reports.start(ada, "beta"))
    page = compared(browser, pair[1], other)
    assert "1 change: 1 removed" in row_of(page, "Research")
    assert "compare/?a=" not in page.content.decode()


def test_a_step_of_one_execution_stands_alone(ada: User, browser: Client, pair: tuple[Execution, Execution]) -> None:
    failed = reports.fail(reports.start(ada))
    page = compared(browser, pair[0], failed)
    assert re.search(r"The findings v1 .* failed .* no document", row_of(page, "Research"))


def test_others_executions_are_not_there(ada: User, browser: Client, pair: tuple[Execution, Execution]) -> None:
    eves = reports.start(ensure_user(name="eve"), "secret")
    for given in (
        {"a": str(pair[0].id), "b": str(eves.id)},
        {"a": str(eves.id), "b": str(pair[0].id)},
        {"b": str(uuid7())},
        {"a": "x", "b": str(pair[0].id)},
        {"b": "x"},
        {},
    ):
        assert browser.get(COMPARE, given).status_code == 404
    ScopeRole.objects.create(scope=scope_of(ensure_user(name="eve"), "secret"), user=ada, role=Role.VIEWER)
    assert compared(browser, pair[0], eves).status_code == 200


def test_the_page_of_an_execution_leads_to_the_comparison_with_the_one_before(
    ada: User, browser: Client, pair: tuple[Execution, Execution]
) -> None:
    first, second = pair
    reports.start(ada, "beta")
    reports.start(ada, script=DryRunScript())
    later = reports.start(ada)
    page = browser.get(f"/executions/{later.id}/").content.decode()
    assert f'href="/executions/compare/?b={later.id}"' in page
    compared = browser.get(COMPARE, {"b": str(later.id)}).content.decode()
    for each in (first, second):
        assert f'<option value="{each.id}"' in compared
    assert browser.get(f"/executions/{uuid7()}/").status_code == 404


def test_of_many_steps_those_that_differ_are_shown(browser: Client, pair: tuple[Execution, Execution]) -> None:
    ids = [each.id for each in pair]
    ExecutionStep.objects.filter(execution_id__in=ids, step_id="research").update(position=9_000)
    for each in ids:
        row = ExecutionStep.objects.get(execution_id=each, step_id="summary")
        more = [
            ExecutionStep(**{**values_of(row), "step_id": f"part-{number}", "name": f"Part {number}"})
            for number in range(MAX_STEPS + 50)
        ]
        ExecutionStep.objects.bulk_create(more)
    page = compared(browser, *pair)
    names = names_in(page)
    assert (names[0], len(names)) == ("Research", MAX_STEPS)
    assert "And 52 more: the API has them all" in text_of(page)
    assert f'href="/api/v1/executions/compare?a={ids[0]}&amp;b={ids[1]}"' in page.content.decode()
    assert len(page.content) < 500_000
    ExecutionStep.objects.filter(step_id__startswith="part-").delete()
    few = compared(browser, *pair)
    assert names_in(few) == ["Summary", "Research"]
    assert "the API has them all" not in text_of(few)


def names_in(page: Any) -> list[str]:
    """Return the names of the steps in the table."""
    return [each.strip() for each in re.findall(r'<tr><th scope="row">([^<]*)', page.content.decode())]


def values_of(row: ExecutionStep) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}


def test_the_title_names_both_workflows(browser: Client, pair: tuple[Execution, Execution]) -> None:
    assert "<h1>Two executions of Report</h1>" in compared(browser, *pair).content.decode()
    ExecutionRow.objects.filter(id=pair[0].id).update(workflow_id="field-notes")
    page = compared(browser, *pair).content.decode()
    assert "<h1>Executions of Field notes and Report</h1>" in page
    assert "<title>Executions of Field notes and Report · Scriptorium</title>" in page


def test_a_comparison_of_many_takes_as_many_queries(
    ada: User, browser: Client, pair: tuple[Execution, Execution]
) -> None:
    with CaptureQueriesContext(connection) as few:
        compared(browser, *pair)
    assert len(few) <= MAX_QUERIES
    for _ in range(5):
        reports.finish(reports.start(ada))
    with CaptureQueriesContext(connection) as many:
        compared(browser, *pair)
    assert len(many) == len(few)
    assert ExecutionRow.objects.count() == 7
