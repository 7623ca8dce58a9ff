"""The page of the items of a step: filters, pages, and documents that are accepted together."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from executions.engine.domain.execution import Execution
from tests.factories.documents import scope_of
from tests.integration.console.execution_pages.items import delivery, with_items
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12


@pytest.fixture
def started(ada: User) -> Execution:
    """An execution with a collection."""
    return delivery(ada)


def path_of(execution: Execution, query: str = "") -> str:
    return f"/executions/{execution.id}/steps/design/items/{query}"


def keys_in(page: Any) -> list[str]:
    return re.findall(r'data-step="design@([^"]+)"', page.content.decode())


def test_items_come_in_pages_and_are_filtered_and_found(browser: Client, started: Execution) -> None:
    with_items(started, "design", 120, failed=1, waiting=2)
    page = browser.get(path_of(started))
    assert keys_in(page) == [f"e-{number}" for number in range(50)]
    [following] = re.findall(r'id="next-page" href="([^"]+)"', page.content.decode())
    assert keys_in(browser.get(following)) == [f"e-{number}" for number in range(50, 100)]
    assert keys_in(browser.get(path_of(started, "?status=waiting"))) == ["e-1", "e-2"]
    assert keys_in(browser.get(path_of(started, "?q=E-11"))) == ["e-11", *(f"e-11{n}" for n in range(10))]
    assert keys_in(browser.get(path_of(started, "?q=epic 7"))) == ["e-7", *(f"e-7{n}" for n in range(10))]
    assert keys_in(browser.get(path_of(started, "?q=design"))) == []  # the step is no key
    assert "No item matches" in text_of(browser.get(path_of(started, "?q=design")))
    assert re.search(r"all 120 .*not started 117 .*waiting 2 .*failed 1", text_of(page))


def test_the_rows_are_a_part_of_bounded_cost(browser: Client, started: Execution) -> None:
    counted = []
    for number in (3, 300):
        with_items(started, "design", number, completed=1)
        with CaptureQueriesContext(connection) as asked:
            part = browser.get(path_of(started, "parts/rows/"))
        counted.append(len(asked))
        assert len(keys_in(part)) == min(number, 50)
    assert counted[0] == counted[1] <= MAX_QUERIES
    assert browser.get(path_of(started, "parts/rows/"), headers={"If-None-Match": part["ETag"]}).status_code == 304


@pytest.mark.parametrize("slug", ["epics", "nothing"])
def test_a_step_without_items_has_no_such_page(browser: Client, started: Execution, slug: str) -> None:
    assert browser.get(f"/executions/{started.id}/steps/{slug}/items/").status_code == 404


def test_what_is_not_accepted_is_named_and_the_page_stays(browser: Client, started: Execution) -> None:
    [step_id] = with_items(started, "design", 1, completed=1)
    nothing = browser.post(path_of(started, "accept/"), {})
    assert nothing.status_code == 422
    assert "Choose 1 to" in text_of(nothing)
    late = browser.post(path_of(started, "accept/"), {"items": f"{started.id}/1/{step_id}"})
    assert late.status_code == 422
    assert re.search(r"\(project / delivery\): ", text_of(late))
    assert keys_in(late) == ["e-0"]


def test_a_viewer_is_offered_no_choice(ada: User, started: Execution) -> None:
    with_items(started, "design", 2, waiting=2)
    eve = ensure_user(name="eve")
    ScopeRole.objects.create(scope=scope_of(ada, "delivery"), user=eve, role=Role.VIEWER)
    client = Client()
    client.force_login(eve)
    page = client.get(path_of(started))
    assert page.status_code == 200
    assert "Accept the chosen" not in text_of(page)
