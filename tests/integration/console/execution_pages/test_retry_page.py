"""The page that retries an execution: from where, and what is paid again."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.user import User
from executions.models import ExecutionStep
from telemetry.models import ModelCall
from tests.factories import reports
from tests.integration.console.execution_pages.items import delivery, with_items
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def published() -> None:
    reports.publish()


def key_in(content: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)"', content))


def test_it_says_what_runs_again_and_what_it_has_cost(ada: User, browser: Client) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada)), "research", cost="0.20")
    reports.cancel(ada, execution.id)
    path = f"/executions/{execution.id}/retry/"
    page = browser.get(path)
    assert re.search(
        r"From what is not finished Runs Summary\. What is completed stays, and is not paid again\. "
        r"From Research Runs Research, Summary\. What these calls have cost so far is paid again: \$0\.20\.",
        text_of(page),
    )
    assert f'href="{path}"' in browser.get(f"/executions/{execution.id}/").content.decode()
    sent = browser.post(path, {**key_in(page.content.decode()), "from_step": "research"})
    assert sent["Location"] == f"/executions/{execution.id}/"
    assert {each.status for each in ExecutionStep.objects.filter(execution_id=execution.id)} == {"pending"}


def test_without_a_choice_what_is_completed_stays(ada: User, browser: Client) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada)), "research")
    reports.cancel(ada, execution.id)
    browser.post(f"/executions/{execution.id}/retry/", {"from_step": ""})
    assert ExecutionStep.objects.get(execution_id=execution.id, step_id="research").status == "completed"


def test_a_step_that_is_not_there_is_refused_on_the_page(ada: User, browser: Client) -> None:
    execution = reports.fail(reports.start(ada))
    told = browser.post(f"/executions/{execution.id}/retry/", {"from_step": "nothing"})
    assert told.status_code == 422
    assert "data-fault" in told.content.decode()
    assert "nothing" in unescape(text_of(told))


def test_an_execution_that_runs_leads_back(ada: User, browser: Client) -> None:
    execution = reports.start(ada)
    assert browser.get(f"/executions/{execution.id}/retry/")["Location"] == f"/executions/{execution.id}/"


def test_an_item_is_a_choice_when_the_address_names_it(ada: User, browser: Client) -> None:
    execution = delivery(ada)
    [step_id] = with_items(execution, "design", 1, completed=1)
    reports.cancel(ada, execution.id)
    page = browser.get(f"/executions/{execution.id}/retry/", {"step": step_id})
    assert re.search(r'value="design@e-0" checked', page.content.decode())
    assert "e-0" in text_of(page)
    assert 'value="design@' not in browser.get(f"/executions/{execution.id}/retry/").content.decode()


def test_what_depends_on_an_item_is_paid_again_with_it(ada: User, browser: Client) -> None:
    execution = delivery(ada)
    [item, _] = with_items(execution, "design", 2, completed=2)
    for each in with_items(execution, "stories", 2, completed=2):
        before = each.replace("stories", "design")
        ExecutionStep.objects.filter(execution_id=execution.id, step_id=each).update(depends_on=["epics", before])
    costs = {item: "0.10", "design@e-1": "7", "stories@e-0": "5", "stories@e-1": "9"}
    same: dict[str, Any] = {
        **{"execution_id": execution.id, "attempt": 1, "kind": "generate", "workflow_id": "delivery", "user": ada},
        **{"scope_id": execution.scope.id, "status": "committed", "started_at": timezone.now()},
    }
    ModelCall.objects.bulk_create(ModelCall(step_id=each, cost_usd=cost, **same) for each, cost in costs.items())
    reports.cancel(ada, execution.id)
    text = text_of(browser.get(f"/executions/{execution.id}/retry/", {"step": item}))
    assert "$5.10" in text


def test_a_name_that_is_none_is_no_choice(ada: User, browser: Client) -> None:
    execution = delivery(ada)
    reports.cancel(ada, execution.id)
    assert browser.get(f"/executions/{execution.id}/retry/", {"step": "design@\0"}).status_code == 200
