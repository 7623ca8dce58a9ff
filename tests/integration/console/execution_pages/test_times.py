"""The timeline of an execution: a row for each step of its definition, items folded, no query more for many items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.execution_pages.timeline import rows
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionStep
from executions.persistence import retention
from executions.services import executions
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.collections import delivery
from tests.factories.documents import scope_of
from workflows import repository as workflows

pytestmark = pytest.mark.django_db


def path_of(execution: Execution, query: str = "") -> str:
    return f"/executions/{execution.id}/timeline/{query}"


def rows_of(page: Any) -> dict[str, str]:
    """Return the rows as texts, by key."""
    found = re.findall(r'<li class="row [a-z]+" id="row-([^"]+)">(.*?)</li>', page.content.decode(), re.DOTALL)
    return {unescape(key): " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for key, row in found}


def bars_of(page: Any, key: str) -> list[str]:
    """Return the kinds of the bars of a row."""
    [row] = re.findall(rf'<li class="row [a-z]+" id="row-{key}">(.*?)</li>', page.content.decode(), re.DOTALL)
    return re.findall(r'class="bar-([a-z]+)"', row)


def begin(execution: Execution, seconds: float) -> None:
    """Move the start of an execution into the past."""
    row = ExecutionRow.objects.filter(id=execution.id)
    row.update(created_at=timezone.now() - timedelta(seconds=seconds), started_at=timezone.now())


def over_items(user: User, number: int, *, calls: int = 1) -> Execution:
    """Return an execution with items that were written one after the other, and of which the last one waits."""
    workflows.publish(delivery(), now=timezone.now())
    started = executions.start_execution(
        user=user,
        workflow_id="report",
        scope_type="project",
        scope_id=f"of-{number}",
        input="A brief.",
        now=timezone.now(),
    )
    begun = timezone.now() - timedelta(seconds=number + 60)
    ExecutionRow.objects.filter(id=started.id).update(created_at=begun, started_at=begun, status="running")
    template = ExecutionStep.objects.get(execution_id=started.id, step_id="epics")
    steps = [_item(template, started, each, number, begun=begun) for each in range(number)]
    ExecutionStep.objects.filter(id=template.id).update(status="completed", started_at=begun, finished_at=begun)
    ExecutionStep.objects.bulk_create(steps)
    ModelCall.objects.bulk_create(call for each in steps for call in _calls(each, started, calls))
    return started


def _item(template: Any, execution: Execution, each: int, number: int, *, begun: Any) -> ExecutionStep:
    moment, is_last = begun + timedelta(seconds=each), each == number - 1
    return ExecutionStep(
        execution_id=execution.id,
        step_id=f"design@e-{each}",
        name="Design",
        label=f"Epic {each}",
        position=1,
        level=1,
        item_order=each,
        role=template.role,
        produces="design",
        depends_on=["epics"],
        status="waiting" if is_last else "completed",
        started_at=moment,
        finished_at=None if is_last else moment + timedelta(seconds=10),
        attempt=1,
        document_id=uuid7(),
        document_version=1,
    )


def _calls(step: ExecutionStep, execution: Execution, number: int) -> Sequence[ModelCall]:
    assert step.started_at is not None
    return [
        ModelCall(
            execution_id=execution.id,
            step_id=step.step_id,
            attempt=each + 1,
            kind="generate" if each == 0 else "review",
            workflow_id="report",
            scope_id=execution.scope.id,
            status="committed",
            requested_model="a:b",
            started_at=step.started_at + timedelta(seconds=4 * each),
            finished_at=step.started_at + timedelta(seconds=4 * each + 3),
        )
        for each in range(number)
    ]


def test_each_step_has_a_row_with_its_times_and_why_it_waits(ada: User, browser: Client) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada))
    begin(waiting, 10)
    page = browser.get(path_of(waiting))
    found = rows_of(page)
    assert list(found) == ["whole", "research", "summary"]
    assert "Research waiting" in found["research"]
    assert "1 call · waits for a decision since" in found["research"]
    assert found["summary"] == "Summary not started waits for Research"
    assert bars_of(page, "research")[0] == "queue"
    assert bars_of(page, "whole")[0] == "queue"


def test_questions_a_budget_and_a_worker_are_waited_for_in_words(ada: User, browser: Client) -> None:
    reports.publish()
    assert (
        "waits for answers since" in rows_of(browser.get(path_of(reports.ask(reports.start(ada, key="a")))))["research"]
    )
    assert "waits for a worker" in rows_of(browser.get(path_of(reports.start(ada, key="b"))))["research"]
    held = reports.ask(reports.start(ada, key="c"))
    later = timezone.now() + timedelta(minutes=5)
    rows = ExecutionStep.objects.filter(execution_id=held.id, step_id="research")
    rows.update(asked_at=None, resume_at=later, rounds=[])
    assert "waits for a provider; the next try is at" in rows_of(browser.get(path_of(held)))["research"]
    rows.update(blocked_by_limit="max_calls")
    assert "waits for a higher budget since" in rows_of(browser.get(path_of(held)))["research"]


def test_an_execution_that_has_ended_waits_for_nothing(ada: User, browser: Client) -> None:
    reports.publish()
    failed = reports.fail(reports.start(ada))
    found = rows_of(browser.get(path_of(failed)))
    assert "waits" not in " ".join(found.values())
    assert "Research failed" in found["research"]


def test_a_step_that_made_no_attempt_says_so(ada: User, browser: Client) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    ExecutionStep.objects.filter(execution_id=done.id, step_id="summary").update(attempt=0)
    found = rows_of(browser.get(path_of(done)))
    assert ("had the document" in found["summary"], "had the document" in found["research"]) == (True, False)


def test_the_table_says_the_same_as_the_bars(ada: User, browser: Client) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    page = browser.get(path_of(done))
    assert re.findall(r'<tr><td dir="auto">(.*?)</td><td>(.*?)</td>', page.content.decode())
    assert "writing, attempt 1" in page.content.decode()


def test_pruned_events_are_told_of(ada: User, browser: Client) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    ExecutionRow.objects.filter(id=done.id).update(waited=timedelta(hours=3))
    retention.prune(before=timezone.now() + timedelta(days=1), limit=10)
    page = browser.get(path_of(done))
    assert "It waited 3 h 0 min in all." in page.content.decode()
    assert bars_of(page, "research")[-1] == "writing"  # steps and calls are kept


def test_items_are_one_row_that_opens(ada: User, browser: Client) -> None:
    execution = over_items(ada, 4, calls=2)
    folded = browser.get(path_of(execution))
    assert rows_of(folded)["design"].startswith("Design \u00d74")
    assert "3 of 4 done · 1 waits" in rows_of(folded)["design"]
    assert {"writing", "review"} <= set(bars_of(folded, "design"))
    assert "Its items are not known yet." in rows_of(folded)["stories"]
    assert 'href="?items=design#row-design" aria-expanded="false"' in folded.content.decode()
    opened = browser.get(path_of(execution, "?items=design"))
    assert [key for key in rows_of(opened) if "@" in key] == [f"design@e-{each}" for each in range(4)]
    assert rows_of(opened)["design@e-0"].startswith("Epic 0 completed")
    assert "waits for a decision" in rows_of(opened)["design@e-3"]
    assert 'aria-expanded="true"' in opened.content.decode()


def test_items_come_in_pages(ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PAGE_SIZE", 3)
    execution = over_items(ada, 7)
    last = browser.get(path_of(execution, "?items=design&page=3"))
    assert [key for key in rows_of(last) if "@" in key] == ["design@e-6"]
    assert "Page 3 of 3" in last.content.decode()
    assert 'href="?items=design&amp;page=2#row-design"' in last.content.decode()
    monkeypatch.setattr(rows, "MAX_EXACT", 5)  # too many to be drawn from each one's own times
    assert [key for key in rows_of(browser.get(path_of(execution, "?items=design&page=2"))) if "@" in key] == [
        f"design@e-{each}" for each in (3, 4, 5)
    ]


@pytest.mark.parametrize("query", ["?items=nope", "?items=epics", "?items=design&page=0", "?items=design&page=3"])
def test_what_is_no_page_is_not_found(ada: User, browser: Client, query: str) -> None:
    assert browser.get(path_of(over_items(ada, 4), query)).status_code == 404


def test_many_items_are_summed_by_the_database_as_few_are_by_the_page(
    ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = over_items(ada, 40, calls=2)
    few = bars_of(browser.get(path_of(execution)), "design")
    monkeypatch.setattr(rows, "MAX_EXACT", 5)
    many = bars_of(browser.get(path_of(execution)), "design")
    assert {"writing", "review"} <= set(few) & set(many)
    assert "open" in many


def test_three_thousand_items_cost_no_more_than_a_few(ada: User, browser: Client) -> None:
    sizes, queries = [], []
    for number in (300, 3_000):
        execution = over_items(ada, number, calls=2)
        path = path_of(execution, "?items=design&page=2")
        browser.get(path)
        with CaptureQueriesContext(connection) as asked:
            page = browser.get(path)
        sizes.append(len(page.content))
        queries.append(len(asked))
        assert len([key for key in rows_of(page) if "@" in key]) == rows.PAGE_SIZE
    assert queries[0] == queries[1]
    assert sizes[1] < sizes[0] * 1.5


@pytest.mark.parametrize(
    ("page", "most"), [("timeline/", 17), ("parts/times/", 12), ("parts/log/", 12), ("brief/", 12)]
)
def test_a_page_takes_few_queries(ada: User, browser: Client, page: str, most: int) -> None:
    """Ten are those of the header and the navigation. Each list of the tab takes one, however long it is."""
    execution = over_items(ada, 300)
    path = f"/executions/{execution.id}/{page}"
    browser.get(path)
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(path).status_code == 200
    assert len(asked) <= most, "\n".join(each["sql"][:150] for each in asked)


def test_the_times_are_a_part_with_an_entity_tag(ada: User, browser: Client) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    address = f"/executions/{done.id}/parts/times/"
    part = browser.get(address)
    assert part.content.decode().strip() in browser.get(path_of(done)).content.decode()
    assert browser.get(address, headers={"If-None-Match": part["ETag"]}).status_code == 304


def test_a_viewer_sees_it_and_others_do_not(ada: User) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    dora, eve = ensure_user(name="dora"), ensure_user(name="eve")
    ScopeRole.objects.create(scope=scope_of(ada, "alpha"), user=dora, role=Role.VIEWER)
    for user, status in ((dora, 200), (eve, 404)):
        client = Client()
        client.force_login(user)
        assert client.get(path_of(done)).status_code == status
        assert client.get(f"/executions/{done.id}/parts/times/").status_code == status
