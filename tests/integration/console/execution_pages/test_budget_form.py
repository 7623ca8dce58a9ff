"""The form that changes the budget of an execution: at any time, once, and never by an empty field."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionEvent, ExecutionStep
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.execution_pages.test_frame import form_of, path_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db

LIMITS = {"max_cost_usd": Decimal(2), "max_calls": 10}


@pytest.fixture
def execution(ada: User) -> Execution:
    """An execution with two limits."""
    reports.publish()
    return reports.start(ada, budget=LIMITS)


def shown(browser: Client, execution: Execution) -> dict[str, Any]:
    """Return what the form sends as it is shown."""
    page = browser.get(path_of(execution, "calls/"))
    values = dict(re.findall(r'name="(max_[a-z_]+)"[^>]*? value="([^"]*)"', page.content.decode()))
    fields = dict.fromkeys(("max_cost_usd", "max_tokens", "max_calls", "max_seconds"), "")
    return {**form_of(page, path_of(execution, "budget/")), "shown": json.dumps(values), **fields, **values}


def send(browser: Client, execution: Execution, given: dict[str, Any]) -> Any:
    return browser.post(path_of(execution, "budget/"), given)


def budget_of(execution: Execution) -> dict[str, Any]:
    """Return the limits that are set."""
    budget = ExecutionRow.objects.get(id=execution.id).budget or {}
    return {name: value for name, value in budget.items() if value is not None}


def changes_of(execution: Execution) -> int:
    return ExecutionEvent.objects.filter(execution_id=execution.id, event_type="budget_changed").count()


def test_limits_are_raised_lowered_and_added(browser: Client, execution: Execution) -> None:
    given = shown(browser, execution) | {"max_cost_usd": "5.50", "max_calls": "4", "max_seconds": "600"}
    assert send(browser, execution, given)["Location"] == path_of(execution, "calls/")
    assert budget_of(execution) == {"max_cost_usd": "5.50", "max_calls": 4, "max_seconds": 600.0}
    assert "of $5.50" in text_of(browser.get(path_of(execution, "calls/")))


def test_a_form_that_is_sent_twice_acts_once(browser: Client, execution: Execution) -> None:
    given = shown(browser, execution) | {"max_calls": "20"}
    assert {send(browser, execution, given).status_code for _ in range(2)} == {302}
    assert (budget_of(execution)["max_calls"], changes_of(execution)) == (20, 1)


def test_an_emptied_field_is_refused_and_a_choice_removes_the_limit(browser: Client, execution: Execution) -> None:
    given = shown(browser, execution)
    page = send(browser, execution, given | {"max_calls": ""})
    assert page.status_code == 422
    assert "Enter a number, or choose to remove this limit." in text_of(page)
    assert re.search(r'name="max_calls"[^>]*aria-invalid="true"', page.content.decode())
    assert "max_calls" in budget_of(execution)
    assert send(browser, execution, given | {"max_calls": "3", "remove": "max_calls"}).status_code == 422
    assert send(browser, execution, given | {"max_calls": "", "remove": "max_calls"}).status_code == 302
    assert budget_of(execution) == {"max_cost_usd": "2"}
    assert send(browser, execution, shown(browser, execution) | {"remove": "max_cost_usd"}).status_code == 302
    assert budget_of(execution) == {}
    assert "This execution has no limits of its own." in text_of(browser.get(path_of(execution, "calls/")))


@pytest.mark.parametrize(
    ("name", "value"), [("max_calls", "-1"), ("max_calls", "1.5"), ("max_cost_usd", "two"), ("max_seconds", "nan")]
)
def test_what_is_no_limit_comes_back_with_its_fault(
    browser: Client, execution: Execution, name: str, value: str
) -> None:
    page = send(browser, execution, shown(browser, execution) | {name: value})
    assert page.status_code == 422
    assert re.search(rf'name="{name}"[^>]*aria-invalid="true"', page.content.decode())
    assert f'value="{value}"' in page.content.decode()
    assert changes_of(execution) == 0


def test_what_another_person_has_changed_is_not_undone_unseen(ada: User, browser: Client, execution: Execution) -> None:
    given = shown(browser, execution)
    other = Client()
    other.force_login(ada)
    send(other, execution, shown(other, execution) | {"max_cost_usd": "9"})
    assert send(browser, execution, given | {"max_calls": "11"}).status_code == 302
    assert budget_of(execution) == {"max_cost_usd": "9", "max_calls": 11}
    page = send(browser, execution, given | {"max_cost_usd": "3", "max_calls": "11"})
    assert page.status_code == 422
    assert "Another person has changed this to 9. Send the form again to replace that." in text_of(page)
    again = form_of(page, path_of(execution, "budget/"))
    told = json.loads(again["shown"].replace("&quot;", '"'))
    assert told == {"max_cost_usd": "9", "max_calls": "11"}
    assert (
        send(
            browser, execution, given | {"max_cost_usd": "3", "max_calls": "11", "shown": json.dumps(told)}
        ).status_code
        == 302
    )
    assert budget_of(execution)["max_cost_usd"] == "3"


def test_what_the_next_call_needs_is_told(browser: Client, execution: Execution) -> None:
    ExecutionStep.objects.filter(execution_id=execution.id, step_id="research").update(
        status="waiting", blocked_by_limit="max_cost_usd", required_usd=Decimal("2.25")
    )
    page = browser.get(path_of(execution, "calls/"))
    text = text_of(page)
    assert "It needs at most $2.25. US dollars: $2.00 left." in text
    assert "From $2.25 on, the next call is made." in text
    assert '<details class="change" id="change" open>' in page.content.decode()


def test_an_execution_that_has_ended_has_no_form_and_says_so(ada: User, browser: Client, execution: Execution) -> None:
    given = shown(browser, execution) | {"max_calls": "20"}
    reports.cancel(ada, execution.id)
    assert "Save the limits" not in browser.get(path_of(execution, "calls/")).content.decode()
    page = send(browser, execution, given)
    assert page.status_code == 422
    assert "The execution is cancelled" in text_of(page)
    assert 'value="20"' in page.content.decode()  # what was typed stays


def test_kept_input_comes_back(browser: Client, execution: Execution) -> None:
    given = shown(browser, execution) | {"max_calls": "oops", "remove": "max_cost_usd", "show": "draft"}
    page = send(browser, execution, given)
    assert page.status_code == 200 and changes_of(execution) == 0
    text = page.content.decode()
    assert 'value="oops"' in text and re.search(r'value="max_cost_usd" checked', text)


@pytest.mark.parametrize(
    ("role", "status"), [(None, 404), (Role.VIEWER, 403), (Role.REVIEWER, 403), (Role.OPERATOR, 302)]
)
def test_who_may_change_it(ada: User, browser: Client, execution: Execution, role: Role | None, status: int) -> None:
    given = shown(browser, execution) | {"max_calls": "20"}
    dora, client = ensure_user(name="dora"), Client()
    if role is not None:
        ScopeRole.objects.create(scope_id=scope_of(ada, execution.scope.key).id, user=dora, role=role)
    client.force_login(dora)
    assert send(client, execution, given).status_code == status
    assert changes_of(execution) == (status == 302)
