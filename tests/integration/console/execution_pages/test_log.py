"""The log of an execution: sentences, newest first, in pages, with filters, for those who may see the execution."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.services import ensure_user
from access.user import User
from console.execution_pages.timeline import log
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.execution import Execution
from executions.models import ExecutionEvent
from executions.persistence import retention
from executions.services.acceptance import PersonsDecision, decide_acceptance
from tests.factories import reports

pytestmark = pytest.mark.django_db


def lines_of(page: Any) -> list[str]:
    """Return the lines of the log as texts, without their times."""
    found = re.findall(r'<li id="event-\d+".*?<p>(.*?)</p></li>', page.content.decode(), re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", "", each)).split()) for each in found]


def path_of(execution: Execution, query: str = "") -> str:
    return f"/executions/{execution.id}/timeline/{query}"


@pytest.fixture
def sent_back(ada: User) -> Execution:
    """An execution whose document a person has sent back."""
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada))
    said = PersonsDecision(
        decision=AcceptanceAction.REQUEST_CHANGES, document_version=1, comment="Put the counter first."
    )
    decide_acceptance(user=ada, execution_id=waiting.id, step_id="research", said=said, now=timezone.now())
    return waiting


def test_the_newest_event_comes_first_and_people_are_named(browser: Client, sent_back: Execution) -> None:
    lines = lines_of(browser.get(path_of(sent_back)))
    assert lines[-1] == "ada started report version 1 in project alpha."
    assert "ada sent Research version 1 back: Put the counter first." in lines
    assert lines.index("The findings version 1 waits for a decision.") > lines.index(
        "ada sent Research version 1 back: Put the counter first."
    )


def test_filters_show_what_people_did_or_what_failed(ada: User, browser: Client, sent_back: Execution) -> None:
    assert lines_of(browser.get(path_of(sent_back, "?log=people"))) == [
        "ada sent Research version 1 back: Put the counter first.",
        "The findings version 1 waits for a decision.",
        "ada started report version 1 in project alpha.",
    ]
    assert "Nothing has failed." in browser.get(path_of(sent_back, "?log=failures")).content.decode()
    failed = reports.fail(reports.start(ada, key="failed"))
    assert lines_of(browser.get(path_of(failed, "?log=failures"))) == [
        "The execution failed. 1 call · $0.001200",
        "Summary was skipped: step research failed.",
        "Research failed: The model refused.",
    ]
    invalid = reports.repair(reports.start(ada, key="invalid"))
    [line] = lines_of(browser.get(path_of(invalid, "?log=failures")))
    assert line == "The output of Research was not valid: /title Expected a string. Attempt 2 begins."
    done = reports.finish(reports.start(ada, key="done"))
    assert lines_of(browser.get(path_of(done, "?log=failures"))) == []


def test_pages_keep_the_filter(browser: Client, sent_back: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PAGE_SIZE", 2)
    first = browser.get(path_of(sent_back, "?log=people"))
    [query] = re.findall(r'href="(\?[^"]+)" rel="next"', first.content.decode())
    second = browser.get(path_of(sent_back, unescape(query).removesuffix("#log")))
    assert [len(lines_of(each)) for each in (first, second)] == [2, 1]
    assert 'rel="next"' not in second.content.decode()
    assert "Newest events" in second.content.decode()


@pytest.mark.parametrize("query", ["?log=sung", "?before=x", "?before=-1"])
def test_what_is_no_page_is_not_found(browser: Client, sent_back: Execution, query: str) -> None:
    assert browser.get(path_of(sent_back, query)).status_code == 404


def test_pruned_events_are_told_of(ada: User, browser: Client) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada))
    retention.prune(before=timezone.now() + timedelta(days=1), limit=10)
    page = browser.get(path_of(done))
    assert "Older events are not kept any more." in page.content.decode()
    assert len(lines_of(page)) == ExecutionEvent.objects.filter(execution_id=done.id).count() == 1


def test_the_log_is_a_part_with_an_entity_tag(browser: Client, sent_back: Execution) -> None:
    address = f"/executions/{sent_back.id}/parts/log/?log=people"
    part = browser.get(address)
    assert part.content.decode().strip() in browser.get(path_of(sent_back, "?log=people")).content.decode()
    assert browser.get(address, headers={"If-None-Match": part["ETag"]}).status_code == 304


def test_others_do_not_find_it(sent_back: Execution) -> None:
    client = Client()
    client.force_login(ensure_user(name="eve"))
    assert client.get(path_of(sent_back)).status_code == 404
    assert client.get(f"/executions/{sent_back.id}/parts/log/").status_code == 404
