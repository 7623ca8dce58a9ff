"""The page of the inbox: what it lists and counts, what its forms do, and what it shows of settled entries."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.idempotency import HEADER
from access.models import Scope, ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.models import Execution as Row
from executions.models import InboxEntry
from executions.services import executions as services
from executions.services.budgets import change_budget
from tests.factories import reports
from tests.integration.console.test_edit_pages import fields, text_of
from workflows.definitions.definition import ApproversPolicy, WaitPolicy

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
#: Of a page by what its first entry waits for; that of a decision is the list and the page of the decision.
MOST_QUERIES = {"ask": 9, "fail": 9, "hand_in": 19}


@pytest.fixture
def browser(browser: Client) -> Client:
    reports.publish(gated=True)
    return browser


def entries(page: Any) -> list[str]:
    """Return the entries of the list, as text."""
    listed = page.content.decode().partition('class="entries"')[2].partition("</ol>")[0]
    found = re.findall(r"<li .*?</li>", listed, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]


def count(client: Client, path: str = "/executions/") -> str:
    found = re.search(r'id="waiting-count"[^>]*>([^<]*)<', client.get(path).content.decode())
    assert found is not None
    return found[1]


def path_of(execution: Execution, kind: str = "question", step_id: str = "/research") -> str:
    return f"/inbox/{execution.id}/{kind}{step_id}/"


def short_of_budget(user: User, key: str) -> Execution:
    """Have an execution wait for a higher budget."""
    body = {"max_calls": 1}
    execution = reports.claim(reports.start(user, key=key, budget=body))
    steps = Row.objects.get(id=execution.id).steps.filter(step_id="research")
    steps.update(blocked_by_limit="max_calls")
    Row.objects.filter(id=execution.id).update(status="waiting", waiting_on=["budget"], claimed_by=None)
    InboxEntry.objects.create(
        id=execution.id, execution_id=execution.id, kind="budget", root_id=execution.scope.id, workflow_id="report",
        dry_run=False, since=timezone.now(),
    )  # fmt: skip
    return execution


def reviewer(name: str, key: str = "alpha", role: Role = Role.REVIEWER) -> Client:
    """Return the browser of a user with a role in a scope."""
    client, user = Client(), ensure_user(name=name)
    ScopeRole.objects.create(scope=Scope.objects.get(key=key), user=user, role=role)
    client.force_login(user)
    return client


def test_it_lists_and_counts_what_one_may_act_on(ada: User, browser: Client) -> None:
    empty = browser.get("/inbox/")
    assert (entries(empty), count(browser), "The inbox is empty." in empty.content.decode()) == ([], "", True)
    reports.ask(reports.start(ada, key="asks"))
    reports.hand_in(reports.start(ada, key="decides"))
    reports.fail(reports.start(ada, key="failed"))
    short_of_budget(ada, "short")
    reports.hand_in(reports.start(ada, key="<i>dry</i>", script=DryRunScript()))
    page = browser.get("/inbox/")
    assert entries(page) == [
        "Question Who decides? (and 2 more) Research · project / asks waits less than a minute",
        "Decision The findings Research · project / decides waits less than a minute",
        "Failure The model refused. project / failed waits less than a minute",
        "Budget A higher budget is needed project / short waits less than a minute",
    ]
    text = text_of(page)
    assert "All 4 Questions 1 Decisions 1 Budgets 1 Failures 1" in text
    assert {count(browser), count(browser, "/inbox/"), count(browser, "/inbox/?kind=budget")} == {"4"}
    assert browser.get("/inbox/count/").json() == {"waiting": "4"}
    dry = browser.get("/inbox/?dry_run=true")
    assert [each.split()[0] for each in entries(dry)] == ["Decision"]
    assert "<i>dry</i>" not in dry.content.decode()
    assert [
        len(entries(browser.get(f"/inbox/?{each}"))) for each in ("kind=failure", "scope_id=asks", "overdue=true")
    ] == [1, 1, 0]
    assert browser.get("/questions/?kind=failure")["Location"] == "/inbox/?kind=failure"
    viewer = reviewer("vic", "asks", Role.VIEWER)
    assert (entries(viewer.get("/inbox/")), count(viewer)) == ([], "")
    assert viewer.get(path_of(Row.objects.get(scope__key="decides"))).status_code == 404  # type: ignore[arg-type]
    assert len(entries(reviewer("rob", "failed").get("/inbox/"))) == 0
    assert len(entries(reviewer("olga", "failed", Role.OPERATOR).get("/inbox/"))) == 1


def test_assignees_votes_and_due_dates_are_shown_in_words(ada: User, browser: Client) -> None:
    reports.start(ada)
    ben, cleo = reviewer("ben"), reviewer("cleo")
    approvers = ApproversPolicy(required="all")
    policy = WaitPolicy(assignees=("ben", "cleo"), approvers=approvers, due_seconds=3600)
    execution = reports.hand_in(reports.start(ada), policy)
    InboxEntry.objects.update(due_at=timezone.now() - timedelta(days=2, hours=1))
    assert entries(browser.get("/inbox/")) == []
    [entry] = entries(ben.get("/inbox/?assigned_to=me&overdue=true"))
    assert "overdue by 2 days" in entry
    assert "0 of 2 votes. May still vote: ben, cleo." in text_of(ben.get("/inbox/"))
    decision = f"/executions/{execution.id}/steps/research/decision/"
    ben.post(decision, fields(ben.get("/inbox/"), "/decision/") | {"decision": "accept"})
    assert "1 of 2 votes: ben accepted. May still vote: cleo." in text_of(cleo.get("/inbox/"))
    assert entries(ben.get("/inbox/")) == []


def test_questions_are_answered_once_and_lead_to_the_next_entry(ada: User, browser: Client) -> None:
    execution = reports.ask(reports.start(ada, key="first"))
    following = reports.hand_in(reports.start(ada, key="second"))
    page = browser.get("/inbox/")
    sent = {HEADER: "0" * 32}
    path = re.findall(r'hx-post="(/inbox/[0-9a-f-]{36}/[^"]*)"', page.content.decode())[0].replace("&amp;", "&")
    refused = browser.post(path, sent, headers=HTMX)
    assert (refused.status_code, text_of(refused).count("This question needs an answer.")) == (422, 2)
    draft = browser.post(path, sent | {"answers.research.1.1": "Half <a>", "show": "draft"}, headers=HTMX)
    assert "Half &lt;a&gt;" in draft.content.decode()
    good = sent | {"answers.research.1.1": "Ms Ode", "answers.research.1.2": "l", "answers.research.1.3": "true"}
    for _ in range(2):
        done = browser.post(path, good, headers=HTMX)
        assert (done.status_code, done["HX-Redirect"]) == (204, path_of(following, "acceptance"))
    [asked] = Row.objects.get(id=execution.id).steps.get(step_id="research").rounds
    assert (asked["answers"], asked["answered_by"]) == (
        {"research.1.1": "Ms Ode", "research.1.2": "l", "research.1.3": True},
        "ada",
    )


def test_what_another_person_settles_stays_with_the_name_and_the_text(ada: User, browser: Client) -> None:
    execution = reports.ask(reports.start(ada))
    ben, path = reviewer("ben"), path_of(execution)
    page = ben.get(path)
    part = re.findall(r'hx-get="(/inbox/parts/[^"]*)"', page.content.decode())
    listed, state = (each.replace("&amp;", "&") for each in part)
    tag = ben.get(listed)["ETag"]
    assert ben.get(listed, headers={"If-None-Match": tag}).status_code == 304
    assert "overtaken" not in ben.get(state).content.decode()
    answers = {"research.1.1": "Ms Ode", "research.1.2": "l"}
    services.submit_clarification(
        user=ada, execution_id=execution.id, step_id="research", answers=answers, now=timezone.now()
    )
    assert entries(ben.get(listed)) == ["Settled Who decides? Research · project / alpha"]
    told = text_of_part(ben.get(state))
    assert re.fullmatch(r"ada has answered, .* UTC\. What you have typed is kept, and was not sent\.", told)
    mine = ben.post(path, {"answers.research.1.1": "Mr Ore", "answers.research.1.2": "s"}, headers=HTMX)
    assert (mine.status_code, "Mr Ore" in mine.content.decode()) == (422, True)
    assert "ada has answered" in text_of(ben.get(path))


def text_of_part(part: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", part.content.decode()).split())


def test_a_budget_is_raised_and_never_removed(ada: User, browser: Client) -> None:
    execution = short_of_budget(ada, "alpha")
    path = path_of(execution, "budget", "")
    page = browser.get(path)
    assert "Reached: calls." in text_of(page)
    assert browser.post(path, {"max_calls": ""}, headers=HTMX).status_code == 422
    assert browser.post(path, {"max_calls": "x", "show": "draft"}).content.decode().count('value="x"') == 1
    assert reviewer("ben").post(path, {"max_calls": "9"}).status_code == 403
    assert browser.post(path, {"max_calls": "9"}, headers=HTMX).status_code == 204
    assert (Row.objects.get(id=execution.id).budget or {})["max_calls"] == 9


def test_a_limit_that_another_person_has_raised_meanwhile_is_not_lowered(ada: User, browser: Client) -> None:
    execution = short_of_budget(ada, "alpha")
    change_budget(user=ada, execution_id=execution.id, limits={"max_calls": 20}, now=timezone.now())
    refused = browser.post(path_of(execution, "budget", ""), {"max_calls": "7"}, headers=HTMX)
    assert refused.status_code == 422
    assert "The limit is 20 now." in text_of(refused)
    assert (Row.objects.get(id=execution.id).budget or {})["max_calls"] == 20


@pytest.mark.parametrize("act", ["retry", "dismiss"])
def test_a_failure_is_retried_or_dismissed(ada: User, browser: Client, act: str) -> None:
    execution = reports.fail(reports.start(ada))
    path = path_of(execution, "failure", "")
    page = browser.get(path)
    assert reviewer("ben").post(f"/inbox/{act}/{execution.id}/").status_code == 403
    sent = fields(page, f"{act}/{execution.id}/")
    for _ in range(2):
        done = browser.post(f"/inbox/{act}/{execution.id}/", sent, headers=HTMX)
        assert (done.status_code, done["HX-Redirect"]) == (204, "/inbox/")
    assert InboxEntry.objects.count() == 0
    assert Row.objects.get(id=execution.id).status == ("failed" if act == "dismiss" else "running")
    assert "The failure was dismissed or retried" in text_of(browser.get(path))


def test_an_operator_assigns(ada: User, browser: Client) -> None:
    execution = reports.ask(reports.start(ada))
    ben = reviewer("ben")
    page = browser.get(path_of(execution))
    path = f"/inbox/assign/{execution.id}/question/research/"
    assert path not in ben.get(path_of(execution)).content.decode()
    sent = fields(page, f"assign/{execution.id}/question/research/")
    assert ben.post(path, {"assignees": "ben"}).status_code == 403
    refused = browser.post(path, sent | {"assignees": "ben, zoe"}, headers=HTMX)
    assert (refused.status_code, "&#x27;zoe&#x27; has no role to act on this." in refused.content.decode()) == (
        422,
        True,
    )
    assert browser.post(path, {"assignees": "ben", "due_at": "2020-01-01T10:00"}, headers=HTMX).status_code == 422
    assert browser.post(path, {"assignees": "ben", "due_at": "2044-01-01T10:00"}, headers=HTMX).status_code == 204
    entry = InboxEntry.objects.get()
    assert (entry.assignees, str(entry.due_at)) == (["ben"], "2044-01-01 10:00:00+00:00")
    assert "Assigned to ben." in text_of(browser.get("/inbox/"))


def test_several_documents_are_accepted_at_once_and_refusals_are_named(ada: User, browser: Client) -> None:
    found = [reports.hand_in(reports.start(ada, key=key)) for key in "abc"]
    page = browser.get("/inbox/")
    chosen = re.findall(r'name="items" value="([^"]*)"', page.content.decode())
    assert chosen == [f"{each.id}/1/research" for each in found]
    assert browser.post("/inbox/accept/", {"action": "accept"}, headers=HTMX).status_code == 422
    stale = f"{found[2].id}/7/research"
    sent = fields(page, "/inbox/accept/") | {"items": [chosen[0], stale]}
    partly = browser.post("/inbox/accept/", sent, headers=HTMX)
    assert (partly.status_code, "1 of 2 documents are accepted." in text_of(partly)) == (422, True)
    assert "The findings (project / c): Another version waits now." in text_of(partly)
    done = browser.post("/inbox/accept/", fields(page, "/inbox/accept/") | {"items": chosen[1:]}, headers=HTMX)
    assert (done.status_code, InboxEntry.objects.count()) == (204, 0)


def test_a_role_that_is_lost_refuses_its_own_document_alone(ada: User) -> None:
    reports.publish(gated=True)
    found = [reports.hand_in(reports.start(ada, key=key)) for key in ("kept", "lost", "lowered")]
    bob, browser = ensure_user(name="bob"), Client()
    for each in found:
        ScopeRole.objects.create(scope_id=each.scope.id, user=bob, role=Role.REVIEWER)
    browser.force_login(bob)
    sent = fields(browser.get("/inbox/"), "/inbox/accept/") | {"items": [f"{each.id}/1/research" for each in found]}
    ScopeRole.objects.filter(scope__key="lost", user=bob).delete()
    ScopeRole.objects.filter(scope__key="lowered", user=bob).update(role=Role.VIEWER)
    for _ in range(2):  # sent again it says the same
        told = browser.post("/inbox/accept/", sent, headers=HTMX)
        assert (told.status_code, "1 of 3 documents are accepted." in text_of(told)) == (422, True)
        assert "The findings (project / lowered): You may not decide about it any more." in text_of(told)
        assert "research: You may not decide about it any more." in text_of(told)
    statuses = [reports.read(each).steps["research"].status.value for each in found]
    assert statuses == ["completed", "waiting", "waiting"]


@pytest.mark.parametrize("kind", ["ask", "hand_in", "fail"])
def test_it_takes_few_queries_however_much_waits(
    ada: User, browser: Client, django_assert_max_num_queries: Any, kind: str
) -> None:
    make: Callable[..., Execution] = getattr(reports, kind)
    make(reports.start(ada, key="a"))
    with django_assert_max_num_queries(MOST_QUERIES[kind]) as few:
        browser.get("/inbox/")
    for number in range(4):
        make(reports.start(ada, key=f"b{number}"))
    with django_assert_max_num_queries(len(few)):
        assert len(entries(browser.get("/inbox/"))) == 5


def test_a_list_has_pages(ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.inbox.lists.PAGE_SIZE", 2)
    for key in "abc":
        reports.ask(reports.start(ada, key=key))
    first = browser.get("/inbox/?kind=question")
    [following] = re.findall(r'id="next-page" href="([^"]*)"', first.content.decode())
    second = browser.get(following.replace("&amp;", "&"))
    assert [len(entries(each)) for each in (first, second)] == [2, 1]
    assert browser.get("/inbox/?cursor=x").status_code == 404


@pytest.mark.parametrize(
    ("kind", "place"), [("ask", "question/research"), ("hand_in", "acceptance/research"), ("fail", "failure")]
)
def test_the_addresses_in_the_list_are_the_same_whatever_is_shown_beside_it(
    ada: User, browser: Client, kind: str, place: str
) -> None:
    make: Callable[..., Execution] = getattr(reports, kind)
    shown, other = make(reports.start(ada, key="a")), reports.ask(reports.start(ada, key="b"))
    page = browser.get("/inbox/?scope_type=project").content.decode()
    part = browser.get("/inbox/parts/list/?scope_type=project").content.decode()
    addresses = [re.findall(r'class="open" [^>]*href="([^"]*)"', each) for each in (page, part)]
    assert addresses == [[f"/inbox/{shown.id}/{place}/?scope_type=project", f"{path_of(other)}?scope_type=project"]] * 2
    assert 'action="/inbox/accept/?scope_type=project"' in page


def test_from_an_entry_of_a_later_page_one_goes_on_to_the_first_entry(
    ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.inbox.lists.PAGE_SIZE", 1)
    first, later = reports.ask(reports.start(ada, key="a")), reports.fail(reports.start(ada, key="b"))
    done = browser.post(f"/inbox/dismiss/{later.id}/", {HEADER: "1" * 32}, headers=HTMX)
    assert (done.status_code, done["HX-Redirect"]) == (204, path_of(first))


@pytest.mark.parametrize(
    ("path", "part"), [("budget/research", 200), ("question", 200), ("nothing", 200), ("question/no-step", 404)]
)
def test_an_address_that_names_nothing_is_not_found(ada: User, browser: Client, path: str, part: int) -> None:
    execution = reports.ask(reports.start(ada))
    assert browser.get(f"/inbox/{execution.id}/{path}/").status_code == 404
    assert browser.get(f"/inbox/parts/list/?shown={execution.id}/{path}").status_code == part


def test_a_count_is_exact_to_a_hundred() -> None:
    from console.shell import count_text

    assert [count_text(each) for each in (0, 1, 100, 101, 303)] == ["", "1", "100", "100+", "100+"]


def test_strangers_are_asked_to_log_in(db: None) -> None:
    assert Client().get("/inbox/count/").status_code == 302
    assert Client().get("/inbox/").status_code == 302
