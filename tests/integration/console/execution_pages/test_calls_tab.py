"""The tab with calls and costs: its sums are those of the ledger, and calls are listed with filters."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from executions.engine.domain.execution import Execution
from executions.models import ExecutionStep
from executions.selectors.costs import execution_costs
from telemetry.models import ModelCall
from tests.factories import calls as ledger
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12  # of a part
MAX_MORE = 6  # beside those of the header, which each tab has


@pytest.fixture
def execution(ada: User) -> Execution:
    """An execution with calls of every status: one was sent back, one has an unknown cost."""
    reports.publish()
    execution = reports.repair(reports.start(ada))
    for number, changes in enumerate(STATES, start=1):
        record(ada, execution, step_id="summary", ordinal=number, **changes)
    return execution


STATES: list[dict[str, Any]] = [
    {**ledger.REPLY, "requested_model": "scripted:editor", "cost_usd": Decimal("0.5")},
    {"status": "failed", "error": "The provider refused."},
    {"status": "unknown", "estimated_cost_usd": Decimal("0.25")},
    {"status": "discarded", "estimated_cost_usd": None},
]


def record(user: User, execution: Execution, **changes: Any) -> None:
    """Write a call into the ledger."""
    scope = scope_of(user, execution.scope.key)
    ledger.announce(ledger.call(user, scope, execution_id=execution.id, **changes))


def tab(execution: Execution, rest: str = "") -> str:
    return f"/executions/{execution.id}/calls/{rest}"


def rows_of(page: Any) -> list[str]:
    """Return the rows of the list of calls as text."""
    found = re.findall(r'<tr id="call-[^"]+">(.*?)</tr>', page.content.decode(), re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def test_the_sums_are_those_of_the_api(ada: User, browser: Client, execution: Execution) -> None:
    told = browser.get(f"/api/v1/telemetry/executions/{execution.id}/costs").json()
    sums = browser.get(tab(execution)).context["sums"]
    assert {each.slug: each.totals.calls for each in sums.steps} == {
        each["step_id"]: each["calls"] for each in told["steps"]
    }
    exact = execution_costs(user=ada, execution_id=execution.id)
    assert sums.total == exact.total
    assert [each.totals for each in sums.steps] == [each.totals for each in exact.steps]
    assert [model for model, _ in sums.steps[1].models] == ["scripted:editor", "scripted:writer"]
    assert Decimal(told["total"]["known_cost_usd"]) == sums.total.known_cost_usd == Decimal("0.5012")


def test_unknown_costs_stand_apart(browser: Client, execution: Execution) -> None:
    text = text_of(browser.get(tab(execution)))
    assert "3 calls of unknown cost, at most $0.25, and 2 calls without a known price." in text
    assert "≥" in text and "$0.50" in text


def test_each_call_says_what_it_was_and_what_was_found_wrong(browser: Client, execution: Execution) -> None:
    rows = rows_of(browser.get(tab(execution)))
    assert len(rows) == 6
    [invalid] = [row for row in rows if "research · first version, attempt 1" in row]
    assert "/title Expected a string." in invalid and "✗" not in invalid and "$0.001200 0.2 s" in invalid
    [failed] = [row for row in rows if "The provider refused." in row]
    assert "failed" in failed and "$0" in failed
    assert any("at most $0.25" in row for row in rows)
    assert any("research · correction, attempt 2" in row and "pending" in row for row in rows)


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("", 6),
        ("?status=failed", 1),
        ("?step_id=summary", 4),
        ("?step_id=summary&status=committed", 1),
        ("?step_id=none", 0),
        ("?status=guess", 0),
        ("?page=99", 0),
        ("?page=x&order=step", 6),
    ],
)
def test_filters_stand_in_the_address(browser: Client, execution: Execution, query: str, number: int) -> None:
    assert len(rows_of(browser.get(tab(execution, query)))) == number
    part = browser.get(f"/executions/{execution.id}/parts/calls/{query}")
    assert len(rows_of(part)) == number


def test_the_newest_call_comes_first_and_steps_can_be_read_in_order(browser: Client, execution: Execution) -> None:
    newest = rows_of(browser.get(tab(execution)))
    assert "correction, attempt 2" in newest[0] or "first version, attempt 1" in newest[0]
    steps = [row.partition(" ")[0] for row in rows_of(browser.get(tab(execution, "?order=step")))]
    assert steps == ["research"] * 2 + ["summary"] * 4


def test_parts_follow_events_with_entity_tags(browser: Client, execution: Execution) -> None:
    for name in ("costs", "calls"):
        path = f"/executions/{execution.id}/parts/{name}/"
        part = browser.get(path)
        assert browser.get(path, headers={"If-None-Match": part["ETag"]}).status_code == 304


def test_who_may_see_the_execution_sees_its_calls(ada: User, execution: Execution) -> None:
    dora, client = ensure_user(name="dora"), Client()
    client.force_login(dora)
    paths = [tab(execution), *(f"/executions/{execution.id}/parts/{name}/" for name in ("costs", "calls"))]
    assert {client.get(path).status_code for path in paths} == {404}
    ScopeRole.objects.create(scope_id=scope_of(ada).id, user=dora, role=Role.VIEWER)
    assert {client.get(path).status_code for path in paths} == {200}
    assert "Save the limits" not in client.get(tab(execution)).content.decode()


def queries_of(browser: Client, path: str) -> list[str]:
    """Return the statements that a page takes."""
    browser.get(path)
    with CaptureQueriesContext(connection) as found:
        assert browser.get(path).status_code == 200
    return [each["sql"] for each in found]


def test_queries_are_few(browser: Client, execution: Execution) -> None:
    frame, own = queries_of(browser, f"/executions/{execution.id}/brief/"), queries_of(browser, tab(execution))
    assert len(own) <= len(frame) + MAX_MORE, own
    for name in ("costs", "calls"):
        found = queries_of(browser, f"/executions/{execution.id}/parts/{name}/")
        assert len(found) <= MAX_QUERIES, found


ITEMS = 3_000


def test_a_page_has_the_same_size_with_3_000_items(ada: User, browser: Client) -> None:
    """The items of a step are one row with a link to their calls."""
    reports.publish()
    execution = reports.start(ada)
    small, few = len(browser.get(tab(execution)).content), len(queries_of(browser, tab(execution)))
    scope, now = scope_of(ada), timezone.now()
    [summary] = ExecutionStep.objects.filter(execution_id=execution.id, step_id="summary")
    same = {
        "execution_id": execution.id,
        "status": "completed",
        "position": summary.position,
        "level": 1,
        "name": "Summary",
        "role": "Analyst",
    }
    ExecutionStep.objects.bulk_create(
        ExecutionStep(step_id=f"summary@i{number}", produces="summary", item_order=number, **same)
        for number in range(ITEMS)
    )
    ModelCall.objects.bulk_create(
        ModelCall(
            execution_id=execution.id,
            step_id=f"summary@i{number}",
            attempt=1,
            kind="generate",
            workflow_id="report",
            scope=scope,
            user=ada,
            status="committed",
            requested_model="scripted:writer",
            cost_usd=Decimal("0.01"),
            input_tokens=7,
            started_at=now,
        )
        for number in range(ITEMS)
    )
    page = browser.get(tab(execution))
    assert len(queries_of(browser, tab(execution))) <= few + 2  # what was found wrong in replies is read
    sums = page.context["sums"]
    assert sums.total == execution_costs(user=ada, execution_id=execution.id).total
    assert [(each.slug, each.steps, each.totals.calls) for each in sums.steps] == [
        ("research", 1, 0),
        ("summary", ITEMS + 1, ITEMS),
    ]
    assert len(rows_of(page)) == 50 and "Page 1 of 60" in text_of(page)
    assert len(page.content) < small + 100_000
    assert len(rows_of(browser.get(tab(execution, "?step_id=summary&page=60")))) == 50
    assert len(rows_of(browser.get(tab(execution, "?step_id=summary@i7")))) == 1
    assert sums.total.input_tokens == 7 * ITEMS
