"""The page of a step and of a call: why it waits, prompt and reply, what was found wrong, and what people said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from common.errors import FieldError
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import ModelReply, ToolCall
from executions.engine.domain.execution import Execution, Failure
from executions.engine.domain.states import CallKind, CallStatus, FailureCode
from executions.engine.transitions import core
from executions.models import ExecutionStep
from executions.services.acceptance import PersonsDecision, decide_acceptance
from executions.services.erasure.executions import erase_execution
from executions.services.executions import retry_execution, submit_clarification
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.execution_pages.test_frame import path_of
from tests.integration.console.test_document_pages import text_of

pytestmark = pytest.mark.django_db(transaction=True)  # prompts are built by threads of the database

FAULT = FieldError(pointer="/points/0", code="type", detail="2 is not of type string.")
MISSING = FieldError(pointer="/title", code="required", detail='"title" is a required property.')
FIRST: dict[str, Any] = {"points": [2, "Open at nine"], "<b>": "no code"}
SECOND: dict[str, Any] = {"points": ["Two", "Open at ten"]}


def said(content: Any, **changes: Any) -> ModelReply:
    """Return a reply of a model that hands in a document."""
    calls = (ToolCall(name="submit_document", arguments=content),)
    given: dict[str, Any] = {"provider": "scripted", "model": "writer-1", "latency_ms": 250, "usage": reports.USAGE}
    return ModelReply(**{**given, "tool_calls": calls, **changes})


def fail(ada: User) -> Execution:
    """Return an execution that failed after two invalid documents."""
    execution, call = reports.begin(reports.claim(reports.start(ada)))
    again = replace(call, key=replace(call.key, attempt=2, kind=CallKind.REMEDIATE))
    ended: dict[str, Any] = {"status": CallStatus.COMMITTED, "finished_at": timezone.now()}
    first = replace(call, reply=said(FIRST), **ended)
    execution = reports.move(
        execution,
        lambda now, context: core.remediate(now, "research", violations=(FAULT, MISSING), context=context),
        calls=(first, again),
    )
    failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message="The document was invalid twice.")
    return reports.move(
        execution,
        lambda now, context: core.fail_step(now, "research", failure, violations=(MISSING,), context=context),
        calls=(replace(again, reply=said(SECOND), **ended),),
    )


@pytest.fixture
def failed(ada: User) -> Execution:
    reports.publish()
    return fail(ada)


def step_of(execution: Execution, rest: str = "") -> str:
    return path_of(execution, f"steps/research/{rest}")


def lines_of(page: Any) -> str:
    """Return the text of the first reply, with its findings."""
    [first, *_] = re.findall(r'<pre class="text lines".*?>(.*?)</pre>', page.content.decode(), re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", first))


def test_it_says_why_it_failed_and_what_the_model_said(browser: Client, failed: Execution) -> None:
    page = browser.get(step_of(failed))
    text = text_of(page)
    assert "The document was invalid twice." in text and "Attempt 2 correction" in text
    assert 'The rules of the step have found: "title" is a required property' in text
    assert lines_of(page).splitlines()[0] == '{ ← "title" is a required property'
    assert '"Open at ten"' in lines_of(page)
    first = browser.get(step_of(failed, "?attempt=1"))
    assert "    2, ← " in lines_of(first)
    assert "<b>" not in re.findall(r"<pre.*?</pre>", first.content.decode(), re.DOTALL)[-2]
    assert "You find things out." in text and "Find out." in text


def test_each_tab_leads_to_the_step_that_has_failed(browser: Client, failed: Execution) -> None:
    page = browser.get(path_of(failed, "brief/")).content.decode()
    assert f'<a id="failed-step" href="{step_of(failed)}">Research</a>' in page


def test_the_page_of_a_call_has_prompt_and_reply(browser: Client, failed: Execution) -> None:
    call = ModelCall.objects.get(execution_id=failed.id, attempt=2)
    page = browser.get(path_of(failed, f"calls/{call.id}/"))
    text = text_of(page)
    assert "Call of research" in text and "Your last output was not valid" in text
    assert "Not proven" in text  # the test has made up the hash
    assert f"/api/v1/executions/{failed.id}/calls/{call.id}" in page.content.decode()
    assert lines_of(page).splitlines()[0].startswith("{ ←")


def test_a_prompt_with_the_recorded_hash_is_proven(browser: Client, failed: Execution) -> None:
    call = ModelCall.objects.get(execution_id=failed.id, attempt=1)
    prompt = browser.get(path_of(failed, f"calls/{call.id}/")).context["view"].shown.prompt
    ModelCall.objects.filter(id=call.id).update(request_hash=prompt.request.request_hash)
    text = text_of(browser.get(path_of(failed, f"calls/{call.id}/")))
    assert "Proven: this is the exact prompt." in text


def test_two_attempts_are_compared_by_field(browser: Client, failed: Execution) -> None:
    page = browser.get(step_of(failed, "compare/"))
    assert "Replies of attempts 1 and 2" in text_of(page)
    assert re.search(r"<del[^>]*>.*?nine", page.content.decode()) and re.search(
        r"<ins[^>]*>.*?ten", page.content.decode()
    )
    assert "Replies of attempts 2 and 1" in text_of(browser.get(step_of(failed, "compare/?a=2&b=1")))
    assert browser.get(step_of(failed, "compare/?a=1&b=7")).status_code == 404


def test_a_reply_that_is_no_json_is_shown_and_compared_as_text(browser: Client, failed: Execution) -> None:
    text = "I would rather <i>talk</i> about it."
    rows = ModelCall.objects.filter(execution_id=failed.id, attempt=2)
    rows.update(reply=said({}, tool_calls=(), text=text).model_dump(mode="json"))
    assert text in lines_of(browser.get(step_of(failed)))
    page = browser.get(step_of(failed, "compare/"))
    assert page.status_code == 200 and "rather" in text_of(page)


def test_questions_with_answers_and_decisions_are_shown(ada: User, browser: Client) -> None:
    reports.publish(gated=True)
    execution = reports.ask(reports.start(ada))
    assert "waits for your answers" in text_of(browser.get(step_of(execution)))
    submit_clarification(
        user=ada, execution_id=execution.id, step_id="research", answers=reports.GOOD_ANSWERS, now=timezone.now()
    )
    text = text_of(browser.get(step_of(execution)))
    assert "Who decides? Ms Ode" in text and "Which size? Large" in text and "ada answered" in text
    decided = reports.hand_in(reports.start(ada, "beta"))
    assert "waits for your decision" in text_of(browser.get(step_of(decided)))
    said_no = PersonsDecision(decision=AcceptanceAction.REQUEST_CHANGES, document_version=1, comment="Shorter, please.")
    decide_acceptance(user=ada, execution_id=decided.id, step_id="research", said=said_no, now=timezone.now())
    text = text_of(browser.get(step_of(decided)))
    assert "ada sent back version 1" in text and "Shorter, please." in text


def test_it_says_why_it_waits(browser: Client, ada: User) -> None:
    reports.publish()
    execution = reports.start(ada)
    assert "starts after research" in text_of(browser.get(path_of(execution, "steps/summary/")))
    assert "waits for a worker" in text_of(browser.get(step_of(execution)))
    rows = ExecutionStep.objects.filter(execution_id=execution.id, step_id="research")
    rows.update(status="waiting", blocked_by_limit="max_cost_usd", required_usd="0.4")
    text = text_of(browser.get(step_of(execution)))
    assert "waits for a higher budget (US dollars); its next call needs at most $0.40" in text


def test_inputs_and_the_document_are_links(ada: User, browser: Client) -> None:
    reports.publish()
    execution = reports.finish(reports.start(ada))
    page = browser.get(step_of(execution))
    step = ExecutionStep.objects.get(execution_id=execution.id, step_id="research")
    assert f'href="/documents/{step.document_id}/?v=1"' in page.content.decode()
    pin = {"type": "findings", "document_id": str(step.document_id), "version": 1}
    ExecutionStep.objects.filter(execution_id=execution.id, step_id="summary").update(input_versions=[pin])
    reader = browser.get(path_of(execution, "steps/summary/")).content.decode()
    assert re.search(rf'It reads:.*?href="/documents/{step.document_id}/\?v=1"', reader)


def test_what_was_erased_is_said_to_be(ada: User, browser: Client, failed: Execution) -> None:
    call = ModelCall.objects.get(execution_id=failed.id, attempt=2)
    erase_execution(user=ada, execution_id=failed.id, now=timezone.now())
    for path in (step_of(failed), path_of(failed, f"calls/{call.id}/")):
        page = browser.get(path)
        assert page.status_code == 200
        assert "Prompt and reply were erased" in text_of(page)
        assert "Open at ten" not in page.content.decode()
    assert browser.get(path_of(failed, "calls/")).status_code == 200
    assert browser.get(step_of(failed, "compare/")).status_code == 404


def test_long_texts_are_cut(browser: Client, failed: Execution, restrict: Callable[..., None]) -> None:
    restrict(call_characters=40)
    page = browser.get(step_of(failed))
    assert "Long texts are cut here, as in the API." in text_of(page)
    assert "Open at ten" not in page.content.decode()


@pytest.mark.parametrize("name", ["steps/research/", "steps/research/compare/", "parts/steps/research/", "call"])
def test_who_may_see_the_execution_sees_it(ada: User, failed: Execution, name: str) -> None:
    call = ModelCall.objects.get(execution_id=failed.id, attempt=2)
    path = path_of(failed, f"calls/{call.id}/" if name == "call" else name)
    dora, client = ensure_user(name="dora"), Client()
    client.force_login(dora)
    assert client.get(path).status_code == 404
    ScopeRole.objects.create(scope_id=scope_of(ada).id, user=dora, role=Role.VIEWER)
    assert client.get(path).status_code == 200


def test_what_does_not_exist_is_not_found(browser: Client, ada: User, failed: Execution) -> None:
    call, other = ModelCall.objects.filter(execution_id=failed.id)[0], reports.start(ada, "beta")
    for path in (
        path_of(failed, "steps/none/"),
        step_of(failed, "?attempt=9"),
        step_of(failed, "?attempt=x"),
        path_of(other, f"calls/{call.id}/"),
        path_of(other, "steps/research/compare/"),
    ):
        assert browser.get(path).status_code == 404, path


def test_the_part_follows_events(browser: Client, failed: Execution) -> None:
    part = browser.get(path_of(failed, "parts/steps/research/"))
    again = browser.get(path_of(failed, "parts/steps/research/"), headers={"If-None-Match": part["ETag"]})
    assert (part.status_code, again.status_code) == (200, 304)


def test_a_step_whose_document_was_rejected_can_be_read_after_a_retry(ada: User, browser: Client) -> None:
    reports.publish(gated=True)
    execution = reports.hand_in(reports.claim(reports.start(ada)))
    said_no = PersonsDecision(decision=AcceptanceAction.REJECT, document_version=1, comment="Not what we need.")
    decide_acceptance(user=ada, execution_id=execution.id, step_id="research", said=said_no, now=timezone.now())
    retry_execution(user=ada, execution_id=execution.id, now=timezone.now())
    page = browser.get(step_of(execution))
    assert page.status_code == 200
    assert "Not what we need." in text_of(page)
