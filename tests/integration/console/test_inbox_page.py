"""Waiting work on the inbox page, and its count in the navigation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from access.models import Role, Scope, ScopeRole
from access.services import ensure_user
from access.user import User
from executions.engine.domain.dry_run import DryRunScript
from executions.models import Execution
from executions.selectors import clarifications
from tests.factories import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(browser: Client) -> Client:
    reports.publish(gated=True)
    return browser


def articles(page: Any) -> list[str]:
    """Return what stands in the list, as text."""
    text = page.content.decode()
    found = re.findall(r"<article.*?</article>", text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]


def count(client: Client, path: str = "/executions/") -> str:
    found = re.search(r'id="waiting-count"[^>]*>([^<]*)<', client.get(path).content.decode())
    assert found is not None
    return found[1]


def blocked_by_budget(user: User, key: str) -> None:
    """Have an execution wait for a higher budget."""
    execution = reports.claim(reports.start(user, key=key))
    Execution.objects.filter(id=execution.id).update(status="waiting", waiting_on=["budget"], claimed_by=None)


def test_decisions_budgets_and_questions_are_in_it_and_counted(ada: User, browser: Client) -> None:
    assert (articles(browser.get("/questions/")), count(browser)) == ([], "")
    for key in "abcd":
        reports.hand_in(reports.start(ada, key=key))
    reports.ask(reports.start(ada, key="asks"))
    blocked_by_budget(ada, "short")
    found = articles(browser.get("/questions/"))
    assert [each.count("waits for a decision") for each in found] == [1, 1, 1, 1, 0]
    assert found[0] == "The findings waits for a decision Research · report · project / a"
    assert found[-1] == "report waits for a higher budget project / short · started by ada"
    assert browser.get("/questions/count/").json() == {"waiting": "6"}
    assert {count(browser, path) for path in ("/executions/", "/questions/")} == {"6"}


def test_a_document_waits_also_while_its_execution_runs(ada: User, browser: Client) -> None:
    execution = reports.hand_in(reports.start(ada))
    Execution.objects.filter(id=execution.id).update(status="running", waiting_on=[])
    assert len(articles(browser.get("/questions/"))) == 1


@pytest.mark.parametrize("end", [reports.cancel, lambda user, each: None])
def test_what_has_ended_or_goes_on_by_itself_is_not_in_it(ada: User, browser: Client, end: Callable[..., Any]) -> None:
    execution = reports.hand_in(reports.start(ada))
    if end is reports.cancel:
        reports.cancel(ada, execution.id)
    else:
        Execution.objects.get(id=execution.id).steps.filter(step_id="research").update(resume_at=execution.updated_at)
    assert (articles(browser.get("/questions/")), count(browser)) == ([], "")


def test_it_shows_what_one_may_see_alone(ada: User, browser: Client) -> None:
    eve = Client()
    user = ensure_user(name="eve")
    eve.force_login(user)
    reports.hand_in(reports.start(ada))
    assert (articles(eve.get("/questions/")), count(eve)) == ([], "")
    ScopeRole.objects.create(scope=Scope.objects.get(), user=user, role=Role.REVIEWER)
    assert (len(articles(eve.get("/questions/"))), count(eve)) == (1, "1")


def test_a_dry_run_is_marked_and_names_are_escaped(ada: User, browser: Client) -> None:
    reports.hand_in(reports.start(ada, key="<i>key</i>", script=DryRunScript()))
    page = browser.get("/questions/").content.decode()
    assert "dry run" in page
    assert "<i>key</i>" not in page


def test_it_takes_as_many_queries_for_many_as_for_few(
    ada: User, browser: Client, django_assert_max_num_queries: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(clarifications, "MAX_COUNT", 8)
    for number in range(3):
        reports.hand_in(reports.start(ada, key=f"a{number}"))
    with django_assert_max_num_queries(9) as few:
        browser.get("/questions/")
    for number in range(9):
        reports.hand_in(reports.start(ada, key=f"b{number}"))
    with django_assert_max_num_queries(len(few)):
        assert len(articles(browser.get("/questions/"))) == 8


def test_a_count_is_exact_to_a_hundred() -> None:
    from console.shell import count_text

    assert [count_text(each) for each in (0, 1, 100, 101, 303)] == ["", "1", "100", "100+", "100+"]


def test_strangers_are_asked_to_log_in(db: None) -> None:
    assert Client().get("/questions/count/").status_code == 302
