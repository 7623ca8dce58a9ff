"""The tab with the work of an execution: what waits, the graph, the steps in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.shell import way_back
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.execution_pages.items import delivery, with_items
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

MAX_QUERIES = 12


def path_of(execution: Execution, name: str = "") -> str:
    return f"/executions/{execution.id}/{name}"


def part_of(page: Any, name: str) -> str:
    """Return a section of the page as text."""
    [found] = re.findall(rf'<(section|li|a|g) [^>]*id="{name}".*?</\1>', page.content.decode(), re.DOTALL) and [
        re.search(rf'<(section|li|a|g) [^>]*id="{name}"(.*?)</\1>', page.content.decode(), re.DOTALL)
    ]
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found.group(0)).split())


@pytest.fixture(autouse=True)
def published() -> None:
    reports.publish(gated=True)


def test_what_waits_for_the_reader_leads_to_the_inbox_and_back(ada: User, browser: Client) -> None:
    asks = reports.ask(reports.start(ada))
    page = browser.get(path_of(asks))
    content = page.content.decode()
    assert "1 thing waits for you" in part_of(page, "waits")
    assert "Answer: Who decides?" in part_of(page, "waits")
    address = f"/inbox/{asks.id}/question/research/?from=%2Fexecutions%2F{asks.id}%2F"
    assert f'href="{address}"' in content
    thing = browser.get(address)
    assert f"from=%2Fexecutions%2F{asks.id}%2F" in thing.content.decode()


def test_what_waits_for_others_is_told_apart(ada: User) -> None:
    decides = reports.hand_in(reports.start(ada))
    eve = ensure_user(name="eve")
    ScopeRole.objects.create(scope=scope_of(ada, "alpha"), user=eve, role=Role.VIEWER)
    client = Client()
    client.force_login(eve)
    waits = part_of(client.get(path_of(decides)), "waits")
    assert "Nothing waits for you" in waits
    assert "Others: 1 document waits for a decision" in waits


def test_the_steps_say_what_they_read_and_make_and_why_they_wait(ada: User, browser: Client) -> None:
    decides = reports.hand_in(reports.start(ada))
    page = browser.get(path_of(decides))
    research, summary = part_of(page, "step-research"), part_of(page, "step-summary")
    assert "Research Analyst waiting waits for a decision The findings v1" in research
    assert "not started waits for Research makes Summary" in summary
    document = reports.read(decides).steps["research"].document_id
    assert f'href="/documents/{document}/?v=1"' in page.content.decode()


def test_a_failed_step_says_why_and_a_refused_output_what_is_wrong(ada: User, browser: Client) -> None:
    failed = browser.get(path_of(reports.fail(reports.start(ada))))
    assert "failed makes Findings The model refused." in part_of(failed, "step-research")
    repaired = browser.get(path_of(reports.repair(reports.start(ada, "beta"))))
    assert "correcting attempt 2" in part_of(repaired, "step-research")
    assert "/title Expected a string." in part_of(repaired, "step-research")


def test_the_graph_has_all_steps_before_their_items_exist(ada: User, browser: Client) -> None:
    execution = delivery(ada)
    page = browser.get(path_of(execution))
    assert re.findall(r'id="node-([^"]+)"', page.content.decode()) == ["epics", "design", "summary", "stories", "test"]
    assert "no items yet" in part_of(page, "step-design")
    assert f'href="/executions/{execution.id}/steps/design/items/"' in page.content.decode()


def test_a_collection_is_counts_whatever_its_size(ada: User, browser: Client) -> None:
    execution = delivery(ada)
    sizes = {}
    for number in (3, 300):
        with_items(execution, "design", number, completed=2, waiting=1)
        with CaptureQueriesContext(connection) as asked:
            page = browser.get(path_of(execution, "parts/work/"))
        sizes[number] = (len(asked), len(page.content))
        assert f"2 of {number} items done" in part_of(page, "step-design")
        assert f"2/{number} · 1 waits" in page.content.decode()
    (few, small), (many, large) = sizes.values()
    assert many == few <= MAX_QUERIES
    assert large - small < 200


def test_the_tab_takes_few_queries(ada: User, browser: Client) -> None:
    for execution in (reports.ask(reports.start(ada)), reports.hand_in(reports.start(ada, "beta"))):
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(path_of(execution)).status_code == 200
        assert len(asked) <= MAX_QUERIES, "\n".join(each["sql"][:60] + " … " + each["sql"][-150:] for each in asked)


def test_the_part_has_an_entity_tag(ada: User, browser: Client) -> None:
    execution = reports.start(ada)
    part = browser.get(path_of(execution, "parts/work/"))
    again = browser.get(path_of(execution, "parts/work/"), headers={"If-None-Match": part["ETag"]})
    assert (part.status_code, again.status_code) == (200, 304)


def test_the_stream_begins_where_the_page_ends(ada: User, browser: Client) -> None:
    execution = reports.ask(reports.start(ada))
    last = ExecutionRow.objects.get(id=execution.id).last_sequence
    assert f'data-stream-last="{last}"' in browser.get(path_of(execution)).content.decode()


def test_an_execution_of_others_is_not_found(ada: User) -> None:
    execution = reports.start(ada)
    client = Client()
    client.force_login(ensure_user(name="eve"))
    for address in (path_of(execution), path_of(execution, "parts/work/"), f"/executions/{uuid7()}/"):
        assert client.get(address).status_code == 404
    assert "There is nothing here that you may see" in text_of(client.get(path_of(execution)))


@pytest.mark.parametrize(
    "origin",
    [
        "//evil.example/",
        "https://evil.example/executions/",
        "/executions/\\evil",
        "/login/",
        "/executions/",
        "/admin/",
        "/executions/01a20782-9bcf-73d6-9b68-153f51574a9d/cancel/",
        "/executions/01a20782-9bcf-73d6-9b68-153f51574a9d/\n",
    ],
)
def test_no_other_address_is_a_way_back(browser: Client, origin: str) -> None:
    asked = RequestFactory().get("/inbox/", {"from": origin})
    assert way_back(asked) == ""


@pytest.mark.parametrize("name", ["", "documents/", "brief/", "steps/design/items/?status=waiting&q=a%20b"])
def test_pages_of_an_execution_are_ways_back(db: None, name: str) -> None:
    origin = f"/executions/01a20782-9bcf-73d6-9b68-153f51574a9d/{name}"
    assert way_back(RequestFactory().get("/inbox/", {"from": origin})) == origin
