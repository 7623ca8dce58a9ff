"""The first page: what waits, runs, fails and is spent, with links to the pages that have it all."""

from __future__ import annotations

import re
from datetime import timedelta
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
from access.selectors import reading_roles_once, visible_roots
from access.services import ensure_user
from access.user import User
from executions.engine.domain.dry_run import DryRunScript
from executions.models import Execution as ExecutionRow
from executions.models import WorkerHeartbeat
from telemetry.models import ScopeBudget
from tests.factories import reports
from tests.factories.calls import answered
from tests.factories.documents import scope_of, store
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12


def figure(page: Any, title: str) -> tuple[str, str]:
    """Return the first link of a section: its text, and where it leads."""
    section = page.content.decode().partition(f'aria-labelledby="{title}"')[2].partition("</section>")[0]
    found = re.search(r'<p class="figure"><a href="([^"]+)">(.*?)</a>', section, re.DOTALL)
    assert found is not None
    text = re.sub(r"<span class=\"visually-hidden\">.*?</span>|<[^>]+>", "", found[2])
    return text.strip(), unescape(found[1])


def beat(name: str, *, seconds: float = 0) -> None:
    at = timezone.now() - timedelta(seconds=seconds)
    WorkerHeartbeat.objects.create(name=name, started_at=at, heartbeat_at=at)


@pytest.fixture
def busy(ada: User) -> None:
    """An installation in which everything happens."""
    reports.publish(gated=True)
    reports.ask(reports.start(ada, key="asks"))
    reports.ask(reports.start(ada, key="asks"))
    reports.hand_in(reports.start(ada, key="decides"))
    reports.claim(reports.start(ada, key="runs"))
    reports.start(ada, key="new")
    reports.fail(reports.start(ada, key="failed"))
    reports.claim(reports.start(ada, key="dry", script=DryRunScript()))
    old = reports.fail(reports.start(ada, key="old"))
    ExecutionRow.objects.filter(id=old.id).update(created_at=timezone.now() - timedelta(days=3))
    answered(ada, started_at=timezone.now(), cost_usd=Decimal(2))
    ScopeBudget.objects.create(scope=scope_of(ada, "asks"), max_cost_usd=Decimal(60))
    store(scope_of(ada), title="The plan")
    beat("one")
    beat("two")
    beat("lost", seconds=3_600)


def test_each_figure_leads_to_the_page_that_has_it_all(busy: None, browser: Client) -> None:
    page = browser.get("/")
    text = text_of(page)
    assert figure(page, "waits-title") == ("5", "/inbox/")
    assert "2 questions to answer" in text
    assert "1 document to decide" in text
    assert 'href="/inbox/?kind=question"' in page.content.decode()
    assert figure(page, "runs-title") == ("1", "/executions/?status=running&dry_run=false")
    assert "1 pending" in text
    assert "2 workers are alive." in text
    number, path = figure(page, "failed-title")
    assert number == "1"
    assert len(re.findall(r'<tr id="execution-', browser.get(path).content.decode())) == 1
    assert figure(page, "spent-title") == ("$2.01", "/costs/")
    assert "$0.00 of $60.00 (< 1 %)" in text
    assert "The plan" in text


def test_counts_are_exact_to_100(ada: User, browser: Client) -> None:
    reports.publish()
    start = reports.start(ada)
    row = ExecutionRow.objects.get(id=start.id)
    copies = [ExecutionRow(**_columns(row, number)) for number in range(99)]
    ExecutionRow.objects.bulk_create(copies)
    assert "100 pending" in text_of(browser.get("/"))
    ExecutionRow.objects.create(**_columns(row, 200))
    assert "100+ pending" in text_of(browser.get("/"))


def _columns(row: ExecutionRow, number: int) -> dict[str, Any]:
    given = {field.attname: getattr(row, field.attname) for field in ExecutionRow._meta.concrete_fields}
    return given | {"id": f"01a22ed1-4d4a-707b-9c98-{number:012x}"}


def test_an_empty_installation_says_where_to_begin_and_that_no_worker_runs(browser: Client) -> None:
    page = browser.get("/")
    text = text_of(page)
    assert "Nothing waits for you." in text
    assert "No documents yet." in text
    assert "No worker is running" in text
    assert 'href="/executions/new/"' in page.content.decode()
    assert figure(page, "spent-title")[0] == "$0"


def test_people_see_what_is_theirs(busy: None) -> None:
    browser = Client()
    browser.force_login(ensure_user(name="eve"))
    page = browser.get("/")
    assert [figure(page, each)[0] for each in ("waits-title", "runs-title", "failed-title", "spent-title")] == [
        "0",
        "0",
        "0",
        "$0",
    ]
    assert "The plan" not in text_of(page)
    assert "of $60.00" not in text_of(page)


def test_the_part_is_the_part_of_the_page(busy: None, browser: Client) -> None:
    part = browser.get("/parts/home/")
    assert part.content.decode().strip() in browser.get("/").content.decode()
    assert browser.get("/parts/home/", headers={"If-None-Match": part["ETag"]}).status_code == 304
    assert Client().get("/parts/home/").status_code == 401


@pytest.mark.parametrize("is_staff", [False, True])
def test_the_page_takes_few_queries(busy: None, ada: User, browser: Client, is_staff: bool) -> None:
    User.objects.filter(id=ada.id).update(is_staff=is_staff)
    browser.get("/")
    with CaptureQueriesContext(connection) as asked:
        browser.get("/")
    assert len(asked) <= MAX_QUERIES, "\n".join(each["sql"][:150] for each in asked)


def test_roles_that_are_read_once_are_read_again_afterwards(ada: User) -> None:
    eve, scope = ensure_user(name="eve"), scope_of(ada)
    with reading_roles_once(eve):
        ScopeRole.objects.create(scope=scope, user=eve, role=Role.VIEWER)
        assert visible_roots(eve) == []
    assert visible_roots(eve) == [scope.id]
