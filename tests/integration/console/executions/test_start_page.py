"""The form that starts an execution: what it offers, what it refuses at its fields, and that it starts once."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.idempotency import HEADER
from access.models import Scope, ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.executions import start_pages
from console.executions.start_script import OUTCOMES
from executions.engine.domain.dry_run import DryRunScript, StepScript
from executions.engine.domain.states import Reuse
from executions.models import Execution
from tests.factories import reports
from tests.factories.documents import scope_of, store
from tests.factories.workflows import definition
from tests.integration.console.test_document_pages import text_of
from workflows import publishing
from workflows.definitions.definition import BriefPolicy

pytestmark = pytest.mark.django_db

PAGE = "/executions/new/"
PLAN, SCOPE, SCRIPT = (f"{PAGE}parts/{name}/" for name in ("plan", "scope", "script"))
HTMX = {"HX-Request": "true"}
MAX_QUERIES = 12
THREADS = pytest.mark.django_db(transaction=True)  # threads of estimates read what is stored


@pytest.fixture(autouse=True)
def _workflows(db: None) -> None:
    reports.publish()
    publishing.publish(definition(id="note", name="Note", description="It <sums> up."), by=None, now=timezone.now())


def retire(workflow_id: str) -> None:
    author = ensure_user(name="rosa")
    author.is_author = True
    publishing.retire(workflow_id, by=author, now=timezone.now())


def sent(**changes: Any) -> dict[str, Any]:
    """Return what the form sends."""
    given = {"workflow_id": "report", "scope_type": "project", "scope_id": "ferry", "input": "A ferry for the town."}
    return {**given, HEADER: uuid4().hex, **changes}


def send(browser: Client, **changes: Any) -> Any:
    return browser.post(PAGE, sent(**changes), headers=HTMX)


def faults_of(page: Any) -> dict[str, str]:
    """Return the fault of each field that has one, by the id of the paragraph."""
    html = page.content.decode()
    found = re.findall(r'<p class="fault" id="([^"]+)"[^>]*>([^<]*)</p>', html)
    for name, _ in found:
        if name.startswith("id_"):
            assert re.search(rf'aria-describedby="[^"]*{re.escape(name)}', html), name
            assert 'aria-invalid="true"' in html
    return {name: unescape(text) for name, text in found}


def known(user: User, key: str = "harbour", role: Role | None = None) -> Scope:
    """Return a scope that the user owns, or has the role in."""
    scope = scope_of(user if role is None else ensure_user(name="owner"), key)
    if role is not None:
        ScopeRole.objects.create(scope=scope, user=user, role=role)
    return scope


def test_the_page_offers_workflows_and_own_scopes(ada: User, browser: Client) -> None:
    known(ada, "harbour")
    known(ada, "seen", Role.VIEWER)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        page = browser.get(f"{PAGE}?workflow=note").content.decode()
    assert len(asked) <= MAX_QUERIES, [each["sql"] for each in asked]
    assert re.findall(r'<input type="radio"[^>]*value="([^"]*)"[^>]* checked>', page) == ["note"]
    assert "It &lt;sums&gt; up." in page
    assert re.findall(r'<option value="(project/[^"]*)">', page) == ["project/harbour"]


def test_many_workflows_are_a_list(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_pages, "MAX_CARDS", 1)
    page = browser.get(f"{PAGE}?workflow=note").content.decode()
    assert '<option value="note" selected>Note</option>' in page
    assert 'type="radio"' not in page


def test_without_a_workflow_nothing_can_be_started(browser: Client) -> None:
    for each in ("note", "report"):
        retire(each)
    page = text_of(browser.get(PAGE))
    assert "No workflow is published, so nothing can be started." in page


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["script", "plain"])
def test_what_is_sent_is_started(ada: User, browser: Client, headers: dict[str, str]) -> None:
    given = sent(
        **{
            "input": "\ufeffA ferry.\r\nFor the town.",
            "tags": " pilot, second ,pilot",
            "budget.max_cost_usd": "2.50",
            "budget.max_calls": "7",
        }
    )
    answer = browser.post(PAGE, given, headers=headers)
    row = Execution.objects.get()
    path = f"/executions/{row.id}/"
    assert (answer.status_code, answer.headers.get("HX-Redirect") or answer["Location"]) == (
        (204, path) if headers else (302, path)
    )
    assert row.input == "A ferry.\nFor the town."
    assert (row.tags, row.scope.key, row.script, row.reuse) == (["pilot", "second"], "ferry", None, Reuse.NONE.value)
    assert {name: float(value) for name, value in (row.budget or {}).items() if value is not None} == {
        "max_cost_usd": 2.5,
        "max_calls": 7,
    }
    assert row.requested_by_id == ada.pk


def test_a_form_that_is_sent_twice_starts_once(browser: Client) -> None:
    given = sent()
    answers = [browser.post(PAGE, given, headers=HTMX)["HX-Redirect"] for _ in range(2)]
    assert answers[0] == answers[1]
    again = browser.post(PAGE, given | {"new_scope": "project/ferry", "csrfmiddlewaretoken": "of another tab"})
    assert again["Location"] == answers[0]
    assert Execution.objects.count() == 1


def test_a_form_that_has_started_tells_before_it_starts_with_other_values(browser: Client) -> None:
    given = sent()
    browser.post(PAGE, given, headers=HTMX)
    refused = browser.post(PAGE, given | {"input": "Another ferry."}, headers=HTMX)
    assert refused.status_code == 422
    assert "has already started an execution with other values" in text_of(refused)
    assert Execution.objects.count() == 1
    [key] = re.findall(rf'name="{HEADER}" value="([^"]+)"', refused.content.decode())
    assert key != given[HEADER]
    browser.post(PAGE, given | {"input": "Another ferry.", HEADER: key}, headers=HTMX)
    assert Execution.objects.count() == 2


REFUSED = {
    "no workflow": ({"workflow_id": ""}, "id_workflow_id_error", "Choose a workflow."),
    "unknown workflow": ({"workflow_id": "nope"}, "id_workflow_id_error", "not offered any more"),
    "no type": ({"scope_type": ""}, "id_scope_type_error", "Enter the type of the scope"),
    "bad type": ({"scope_type": "Pro ject"}, "id_scope_type_error", "Use lower case letters"),
    "no key": ({"scope_id": " "}, "id_scope_id_error", "Enter the key of a scope"),
    "hidden key": ({"scope_id": "a\u200bb"}, "id_scope_id_error", "zero-width"),
    "dots": ({"scope_id": "a/../b"}, "id_scope_id_error", "No part between slashes"),
    "long key": ({"scope_id": "x" * 201}, "id_scope_id_error", "at most 200 characters"),
    "long brief": ({"input": "x" * 200_001}, "id_input_error", "at most 200000 characters"),
    "many tags": ({"tags": ",".join(map(str, range(21)))}, "id_tags_error", "At most 20 tags."),
    "bad tag": ({"tags": "fine,.."}, "id_tags_error", "“..” is no tag"),
    "budget": ({"budget.max_calls": "many"}, "id_budget.max_calls_error", "whole number"),
    "negative budget": ({"budget.max_cost_usd": "-1"}, "id_budget.max_cost_usd_error", "greater than or equal to 0"),
    "no number": ({"budget.max_seconds": "nan"}, "id_budget.max_seconds_error", "Enter a number"),
    "script": ({"dry_run": "on", "rehearsal.research": "fire"}, "id_rehearsal.research_error", "not one of"),
    "file": ({"input.files": str(UUID(int=1))}, "files-fault", "A file is not there any more"),
}


@pytest.mark.parametrize(("changes", "place", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_stands_at_its_field(browser: Client, changes: dict[str, str], place: str, words: str) -> None:
    refused = send(browser, **changes)
    assert refused.status_code == 422
    faults = faults_of(refused)
    assert words in faults[place]
    assert [*faults] == [place]
    assert "scope_id:" not in text_of(refused)
    assert "data-sent" in refused.content.decode()
    assert Execution.objects.count() == 0


@pytest.mark.parametrize(
    ("policy", "brief", "words"),
    [(BriefPolicy.REQUIRED, " ", "This workflow needs a brief"), (BriefPolicy.NONE, "A text.", "takes no brief")],
)
def test_the_workflow_says_whether_there_is_a_brief(
    browser: Client, policy: BriefPolicy, brief: str, words: str
) -> None:
    publishing.publish(definition(id="strict", brief=policy.value), by=None, now=timezone.now())
    assert words in faults_of(send(browser, workflow_id="strict", input=brief))["id_input_error"]
    other = "A text." if policy is BriefPolicy.REQUIRED else ""
    assert (
        send(browser, workflow_id="strict", input=other, scope_id="another", new_scope="project/another").status_code
        == 204
    )


def test_a_scope_that_lacks_a_document_is_refused_at_the_scope(browser: Client) -> None:
    publishing.publish(definition(id="after", scope_documents=["plan"]), by=None, now=timezone.now())
    assert "needs these documents first: plan" in faults_of(send(browser, workflow_id="after"))["id_scope_id_error"]


# --- the scope --------------------------------------------------------------------------------------------------------


def test_a_new_scope_is_made_after_a_tick(ada: User, browser: Client) -> None:
    known(ada, "harbour")
    refused = send(browser, scope_id="Ferry Town!")
    assert "You know no scope “Ferry Town!”" in faults_of(refused)["id_scope_id_error"]
    assert "This makes a new scope “ Ferry Town! ” (project), which is yours." in text_of(refused)
    assert 'name="new_scope"' in refused.content.decode()
    assert send(browser, scope_id="Ferry Town!", new_scope="project/harbor").status_code == 422  # of another name
    assert Scope.objects.count() == 1
    assert send(browser, scope_id="Ferry Town!", new_scope="project/Ferry Town!").status_code == 204
    assert Execution.objects.get().scope.key == "Ferry Town!"


def test_a_scope_that_is_spelled_nearly_like_an_own_one_is_asked_about(ada: User, browser: Client) -> None:
    known(ada, "harbour")
    assert "Or do you mean “ harbour ”?" in text_of(send(browser, scope_id="Harbor"))


def test_the_first_scope_of_a_person_needs_no_tick(browser: Client) -> None:
    plan = browser.post(SCOPE, sent())
    assert "This makes a new scope “ ferry ” (project)" in text_of(plan)
    assert "new_scope" not in plan.content.decode()
    assert send(browser).status_code == 204


def test_a_scope_that_is_chosen_needs_no_key(ada: User, browser: Client) -> None:
    known(ada, "harbour/north")
    assert send(browser, scope="project/harbour/north", scope_type="", scope_id="").status_code == 204
    assert Execution.objects.get().scope.key == "harbour/north"
    assert "Select a valid choice" in faults_of(send(browser, scope="project/other"))["id_scope_error"]


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.REVIEWER])
def test_a_role_that_is_too_low_is_told_at_the_scope(ada: User, browser: Client, role: Role | None) -> None:
    scope_of(ensure_user(name="owner"), "theirs")
    if role is not None:
        ScopeRole.objects.create(scope=Scope.objects.get(), user=ada, role=role)
        assert f"Your role in this scope is {role.value}." in text_of(browser.post(SCOPE, sent(scope_id="theirs")))
    refused = send(browser, scope_id="theirs")
    assert refused.status_code == 422
    assert "scope" in faults_of(refused)["id_scope_id_error"]
    assert (Execution.objects.count(), 'name="scope"' in refused.content.decode()) == (0, False)


def test_a_start_without_a_login_is_refused(db: None) -> None:
    answer = Client().post(PAGE, sent(), headers=HTMX)
    assert (answer.status_code, answer.content) == (401, b"Your session has ended.")
    assert Client().get(PAGE)["Location"] == f"/login/?next={PAGE}"


# --- dry runs ---------------------------------------------------------------------------------------------------------


def test_what_shall_go_wrong_reaches_the_dry_run(browser: Client) -> None:
    given = {"rehearsal.research": "ask", "rehearsal.summary": "always_invalid"}
    assert send(browser, dry_run="on", **given).status_code == 204
    script = DryRunScript.model_validate(Execution.objects.get().script)
    assert script.steps["summary"] == StepScript(invalid=10)
    [question] = script.steps["research"].ask
    assert question.text == "What should the document say about this?"


def test_a_dry_run_needs_no_script_and_a_script_no_dry_run(browser: Client) -> None:
    assert send(browser, dry_run="on").status_code == 204
    assert send(browser, **{"rehearsal.summary": "timed_out"}).status_code == 204  # it is hidden then
    assert [row.script for row in Execution.objects.order_by("id")] == [DryRunScript().model_dump(mode="json"), None]


def test_only_steps_that_ask_and_that_are_reviewed_are_offered_that(browser: Client) -> None:
    review = {"rubric": "Is it short?"}
    step = {**definition().model_dump(mode="json")["steps"][0], "review": review}
    publishing.publish(definition(id="reviewed", steps=[step]), by=None, now=timezone.now())
    for workflow_id, name, offered in (
        ("report", "research", {"ask"}),
        ("report", "summary", set()),
        ("reviewed", "step-1", {"needs_revision", "failed"}),
    ):
        part = browser.post(SCRIPT, {"workflow_id": workflow_id}).content.decode()
        [choices] = re.findall(rf'<select name="rehearsal.{name}".*?</select>', part, re.DOTALL)
        values = set(re.findall(r'<option value="([^"]*)"', choices))
        assert values & {"ask", "needs_revision", "failed"} == offered, name
        assert {"", "invalid", "always_invalid", "timed_out"} <= values


@pytest.mark.parametrize("outcome", [*OUTCOMES])
def test_each_outcome_is_a_script_that_the_service_takes(browser: Client, outcome: str) -> None:
    policy = {"max_rounds": 1}
    review = {"rubric": "Is it short?"}
    step = {**definition().model_dump(mode="json")["steps"][0], "review": review, "clarification": policy}
    publishing.publish(definition(id="full", steps=[step]), by=None, now=timezone.now())
    answer = send(browser, **{"workflow_id": "full", "dry_run": "on", "rehearsal.step-1": outcome})
    assert answer.status_code == 204, text_of(answer)
    assert bool((Execution.objects.get().script or {})["steps"]) is bool(outcome)


# --- kept input -------------------------------------------------------------------------------------------------------


def test_kept_input_is_shown_as_it_was(ada: User, browser: Client) -> None:
    given = sent(show="draft", scope_id="", workflow_id="", dry_run="on", tags="one", **{"budget.max_calls": "x"})
    page = browser.post(f"{PAGE}?workflow=note", given, headers=HTMX)
    html = page.content.decode()
    assert page.status_code == 200
    assert faults_of(page) == {}  # nothing was sent yet
    assert f'value="{given[HEADER]}"' in html
    assert re.findall(r'type="radio"[^>]*value="([^"]*)"[^>]* checked>', html) == ["note"]
    assert 'value="x"' in html
    assert "A ferry for the town.</textarea>" in html
    assert browser.post(PAGE, given | {"show": "all"}, headers=HTMX).status_code == 400


# --- an earlier execution ---------------------------------------------------------------------------------------------


def test_the_form_begins_with_an_earlier_execution(ada: User, browser: Client) -> None:
    row = reports.start(ada, key="alpha", tags=("pilot",), budget={"max_calls": 9})
    with CaptureQueriesContext(connection) as asked:
        page = browser.get(f"{PAGE}?from={row.id}")
    html = page.content.decode()
    assert len(asked) <= MAX_QUERIES, [each["sql"] for each in asked]
    assert re.findall(r'type="radio"[^>]*value="([^"]*)"[^>]* checked>', html) == ["report"]
    assert '<option value="project/alpha" selected>' in html
    assert "A tool library for the city.</textarea>" in html
    assert 'name="tags" value="pilot"' in html
    assert 'name="budget.max_calls" value="9"' in html
    assert f'data-draft="start/{row.id}/0"' in html


def test_an_earlier_execution_is_shown_to_its_readers_alone(browser: Client) -> None:
    row = reports.start(ensure_user(name="bob"))
    for origin in (row.id, uuid4(), "x"):
        assert browser.get(f"{PAGE}?from={origin}").status_code == 404


def test_what_cannot_be_used_again_is_told(ada: User, browser: Client) -> None:
    row = reports.start(ada)
    brief = {"goal": "A ferry", "files": [str(UUID(int=5))]}
    Execution.objects.filter(id=row.id).update(input=brief)
    retire("report")
    page = text_of(browser.get(f"{PAGE}?from={row.id}"))
    for sentence in ("Its brief was JSON", "Some of its files cannot be used", "Its workflow is not offered any more"):
        assert sentence in page


# --- what would happen ------------------------------------------------------------------------------------------------


@THREADS
def test_the_plan_says_what_is_reused_and_what_is_paid(ada: User, browser: Client) -> None:
    store(known(ada, "harbour"))
    plain = browser.post(PLAN, sent(scope="project/harbour"))
    assert 'name="reuse"' in plain.content.decode()
    assert "It reuses" not in text_of(plain)
    told = text_of(browser.post(PLAN, sent(scope="project/harbour", reuse="current")))
    assert "It reuses nothing. It makes 2 steps anew: Research, Summary." in told
    assert "Expected cost: $0. 3 calls of models." in told
    dry = browser.post(PLAN, sent(scope="project/harbour", reuse="current", dry_run="on")).content.decode()
    assert '<div id="reuse-choice" hidden>' in dry  # the wish is kept
    assert send(browser, scope="project/harbour", reuse="current", dry_run="on").status_code == 204
    assert Execution.objects.get().reuse == Reuse.NONE.value
    assert send(browser, scope="project/harbour", reuse="current").status_code == 204
    assert Execution.objects.latest("created_at").reuse == Reuse.CURRENT.value


def test_a_choice_for_a_scope_without_documents_does_not_count(browser: Client) -> None:
    assert send(browser, reuse="current").status_code == 204
    assert Execution.objects.get().reuse == Reuse.NONE.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workflow_id": ""}, "Choose a workflow: then the expected cost stands here."),
        ({"scope_id": ""}, "Expected cost"),
        ({"dry_run": "on"}, "A dry run costs nothing."),
    ],
)
def test_the_plan_follows_half_a_form(browser: Client, changes: dict[str, str], words: str) -> None:
    plan = browser.post(PLAN, sent(**changes))
    assert plan.status_code == 200
    assert words in text_of(plan)
    assert faults_of(plan) == {}


def test_the_plan_without_scripts_is_a_button(browser: Client) -> None:
    page = browser.post(PAGE, sent(show="plan"))
    assert page.status_code == 200
    assert "Expected cost" in text_of(page)
    assert Execution.objects.count() == 0
