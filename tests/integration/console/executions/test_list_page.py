"""The list of executions: filters in its address, what each row says, and acts on several rows."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.idempotency import HEADER
from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.executions import lists
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

LIST, PART, BULK = "/executions/", "/executions/parts/rows/", "/executions/bulk/"
MAX_QUERIES = 12


def rows_of(page: Any) -> dict[UUID, str]:
    """Return the rows of the table as text, by execution."""
    found = re.findall(r'<tr id="execution-([^"]+)">(.*?)</tr>', page.content.decode(), re.DOTALL)
    return {UUID(key): " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for key, row in found}


def listed(browser: Client, **filters: str) -> list[UUID]:
    return [*rows_of(browser.get(LIST, filters))]


def choices_of(page: Any) -> set[UUID]:
    return {UUID(each) for each in re.findall(r'name="ids" value="([^"]+)"', page.content.decode())}


def status_of(execution: Execution) -> str:
    return str(ExecutionRow.objects.get(id=execution.id).status)


@pytest.fixture
def some(ada: User) -> dict[str, Execution]:
    """Executions in several states, each in a scope of its name."""
    reports.publish(gated=True)
    return {
        "new": reports.start(ada, key="new"),
        "asks": reports.ask(reports.start(ada, key="asks")),
        "decides": reports.hand_in(reports.start(ada, key="decides")),
        "failed": reports.fail(reports.start(ada, key="failed")),
        "tagged": reports.start(ada, key="tagged", tags=["pilot"]),
        "dry": reports.start(ada, key="dry", script=DryRunScript()),
    }


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["dry", "tagged", "failed", "decides", "asks", "new"]),
        ({"status": "waiting"}, ["decides", "asks"]),
        ({"waiting_on": "clarification"}, ["asks"]),
        ({"waiting_on": "acceptance", "status": "waiting"}, ["decides"]),
        ({"tag": "pilot"}, ["tagged"]),
        ({"scope_type": "project", "scope_id": "failed"}, ["failed"]),
        ({"workflow_id": "minutes"}, []),
        ({"dry_run": "true"}, ["dry"]),
        ({"dry_run": "false", "status": "pending"}, ["tagged", "new"]),
    ],
)
def test_filters_in_the_address_narrow_the_list(
    browser: Client, some: dict[str, Execution], filters: dict[str, str], names: list[str]
) -> None:
    assert listed(browser, **filters) == [some[name].id for name in names]


def test_days_are_those_of_the_reader(ada: User, browser: Client, some: dict[str, Execution]) -> None:
    """22:30 of UTC is the next day in Tallinn."""
    ada.time_zone = "Europe/Tallinn"
    ada.save()
    ExecutionRow.objects.filter(id=some["new"].id).update(created_at="2026-03-01T22:30Z")
    ExecutionRow.objects.filter(id=some["asks"].id).update(created_at="2026-03-01T21:30Z")
    assert listed(browser, created_after="2026-03-02", created_before="2026-03-02") == [some["new"].id]
    assert listed(browser, created_before="2026-03-01") == [some["asks"].id]


def test_a_row_says_in_words_what_it_waits_for_and_leads_there(browser: Client, some: dict[str, Execution]) -> None:
    page = browser.get(LIST)
    rows, text = rows_of(page), page.content.decode()
    assert "Report project asks waiting waits for your answers" in rows[some["asks"].id]
    assert "waits for your decision" in rows[some["decides"].id]
    assert "pending waits for a worker" in rows[some["new"].id]
    assert "failed" in rows[some["failed"].id]
    assert "dry run" in rows[some["dry"].id]
    assert f'href="/inbox/{some["asks"].id}/question/research/">waits for your answers' in text
    assert f'href="/inbox/{some["decides"].id}/acceptance/research/">waits for your decision' in text


def test_what_others_have_to_do_is_not_said_to_be_the_readers(ada: User, some: dict[str, Execution]) -> None:
    eve = ensure_user(name="eve")
    ScopeRole.objects.create(scope=scope_of(ada, "asks"), user=eve, role=Role.VIEWER)
    browser = Client()
    browser.force_login(eve)
    page = browser.get(LIST)
    [row] = rows_of(page).values()
    assert "waits for answers" in row
    assert not choices_of(page)
    assert "Cancel the chosen" not in text_of(page)


def test_durations_and_costs(ada: User, browser: Client) -> None:
    reports.publish()
    done, begun = reports.finish(reports.start(ada), cost="0.25"), reports.claim(reports.start(ada))
    start = timezone.now() - timedelta(hours=2, minutes=5, seconds=30)
    ExecutionRow.objects.filter(id=done.id).update(created_at=start, finished_at=start + timedelta(seconds=134))
    ExecutionRow.objects.filter(id=begun.id).update(created_at=start)
    rows = rows_of(browser.get(LIST))
    assert "2 min 14 s $0.50" in rows[done.id]
    assert "2 h 5 min $0" in rows[begun.id]
    assert "0 of 2 steps" in rows[begun.id]


def test_pages_keep_the_filters(ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "PAGE_SIZE", 2)
    reports.publish()
    made = [reports.start(ada, tags=["pilot"]).id for _ in range(5)]
    reports.start(ada)
    seen, path = [], f"{LIST}?tag=pilot"
    while path:
        page = browser.get(path)
        seen += [*rows_of(page)]
        following = re.search(r'id="next-page" href="([^"]+)"', page.content.decode())
        path = unescape(following[1]) if following else ""
        assert "tag=pilot" in (path or "tag=pilot")
    assert seen == made[::-1]
    assert 'id="first-page" href="/executions/?tag=pilot"' in page.content.decode()


def test_a_place_of_another_list_leads_to_the_first_page(browser: Client) -> None:
    assert browser.get(f"{LIST}?tag=pilot&cursor=x")["Location"] == f"{LIST}?tag=pilot"
    assert browser.get(f"{PART}?cursor=x").status_code == 404


def test_a_filter_with_a_fault_says_so_and_shows_no_rows(browser: Client, some: dict[str, Execution]) -> None:
    page = browser.get(f"{LIST}?created_after=yesterday&status=done")
    text = text_of(page)
    assert not rows_of(page)
    assert ("Enter a valid date." in text, "Select a valid choice." in text, "Correct the filters." in text) == (
        True,
        True,
        True,
    )


def test_the_part_is_the_part_of_the_page(browser: Client, some: dict[str, Execution]) -> None:
    query = "?status=waiting"
    part = browser.get(PART + query)
    assert part.content.decode().strip() in browser.get(LIST + query).content.decode()
    assert browser.get(PART + query, headers={"If-None-Match": part["ETag"]}).status_code == 304


@pytest.mark.parametrize(("query", "is_moving"), [("", True), ("?status=waiting", False)])
def test_only_rows_that_change_by_themselves_are_asked_for_soon(
    browser: Client, some: dict[str, Execution], query: str, is_moving: bool
) -> None:
    assert (" data-soon>" in browser.get(LIST + query).content.decode()) is is_moving


def test_the_list_follows_the_scope_that_its_filters_name(browser: Client, some: dict[str, Execution]) -> None:
    page = browser.get(f"{LIST}?scope_type=project&scope_id=asks").content.decode()
    assert 'data-stream="/api/v1/scopes/project/asks/stream"' in page
    assert 'data-stream="/api/v1/inbox/stream"' in browser.get(LIST).content.decode()


@pytest.mark.parametrize("filters", ["", "?status=waiting", "?scope_type=project&scope_id=asks&tag=pilot"])
def test_a_page_takes_few_queries(browser: Client, some: dict[str, Execution], filters: str) -> None:
    browser.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert browser.get(LIST + filters).status_code == 200
    assert len(asked) <= MAX_QUERIES, "\n".join(each["sql"][:150] for each in asked)


# --- acts on several --------------------------------------------------------------------------------------------------


def act(browser: Client, action: str, *ids: UUID, key: str = "") -> Any:
    return browser.post(BULK, {"action": action, "ids": [str(each) for each in ids], HEADER: key})


def test_what_is_chosen_is_cancelled_and_each_has_its_outcome(browser: Client, some: dict[str, Execution]) -> None:
    page = act(browser, "cancel", some["new"].id, some["asks"].id, some["failed"].id)
    assert page.status_code == 200
    text = text_of(page)
    assert "2 of 3 are cancelled." in text
    assert "Report new : cancelled" in text
    assert re.search(r"Report failed : \S+", text)
    assert "Report failed : cancelled" not in text
    assert [status_of(some[each]) for each in ("new", "asks", "failed", "decides")] == [
        "cancelled",
        "cancelled",
        "failed",
        "waiting",
    ]


def test_what_is_chosen_is_retried(browser: Client, some: dict[str, Execution]) -> None:
    text = text_of(act(browser, "retry", some["failed"].id))
    assert ("1 of 1 is retried." in text, status_of(some["failed"])) == (True, "running")


def test_a_form_that_is_sent_twice_acts_once(browser: Client, some: dict[str, Execution]) -> None:
    key = "a" * 32
    act(browser, "cancel", some["new"].id, key=key)
    act(browser, "retry", some["new"].id)
    assert status_of(some["new"]) == "running"
    assert "1 of 1 is cancelled." in text_of(act(browser, "cancel", some["new"].id, key=key))
    assert status_of(some["new"]) == "running"


def test_executions_of_others_are_neither_changed_nor_named(some: dict[str, Execution]) -> None:
    browser = Client()
    browser.force_login(ensure_user(name="eve"))
    text = text_of(act(browser, "cancel", some["new"].id))
    assert ("There is no such execution." in text, "Report" in text, status_of(some["new"])) == (True, False, "pending")


def test_a_role_that_is_too_low_is_told(ada: User, some: dict[str, Execution]) -> None:
    eve, browser = ensure_user(name="eve"), Client()
    ScopeRole.objects.create(scope=scope_of(ada, "new"), user=eve, role=Role.REVIEWER)
    browser.force_login(eve)
    text = text_of(act(browser, "cancel", some["new"].id))
    assert ("0 of 1 is cancelled." in text, "role" in text, status_of(some["new"])) == (True, True, "pending")


@pytest.mark.parametrize("sent", [{"action": "cancel"}, {"action": "erase", "ids": [str(uuid7())]}, {"ids": ["x"]}])
def test_a_form_without_a_choice_says_so(browser: Client, sent: dict[str, Any]) -> None:
    page = browser.post(BULK, sent)
    assert (page.status_code, "Choose 1 to 200 executions." in text_of(page)) == (422, True)


def test_only_what_may_be_cancelled_or_retried_can_be_chosen(ada: User, browser: Client) -> None:
    reports.publish()
    done, begun = reports.finish(reports.start(ada)), reports.start(ada)
    assert choices_of(browser.get(LIST)) == {begun.id}
    assert done.id in rows_of(browser.get(LIST))
