"""The tab with the brief: what the execution was started with, and what people answered and decided, in pages."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from console.execution_pages import said
from executions.engine.domain.acceptance import AcceptanceAction, PassageComment
from executions.engine.domain.clarification import AnswerType, Choice, QuestionDraft
from executions.engine.domain.dry_run import DryRunScript, StepScript
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Reuse
from executions.models import ExecutionStep
from executions.services.acceptance import PersonsDecision, decide_acceptance
from executions.services.erasure.executions import erase_execution
from executions.services.executions import submit_clarification
from executions.worker import duties
from tests.factories import reports
from tests.factories.documents import scope_of
from tests.integration.console.test_document_pages import text_of
from workflows.definitions.definition import ClarificationPolicy, OnDeadline

pytestmark = pytest.mark.django_db

SIZES = (Choice(value="s", label="Small"), Choice(value="l", label="Large"))


def path_of(execution: Execution, query: str = "") -> str:
    return f"/executions/{execution.id}/brief/{query}"


def shown(browser: Client, execution: Execution, query: str = "") -> str:
    page = browser.get(path_of(execution, query))
    assert page.status_code == 200
    return unescape(text_of(page))


def answer(user: User, execution: Execution, **answers: Any) -> None:
    given = {f"research.1.{key.removeprefix('n')}": value for key, value in answers.items()}
    submit_clarification(user=user, execution_id=execution.id, step_id="research", answers=given, now=timezone.now())


def decide(user: User, execution: Execution, decision: AcceptanceAction, **more: Any) -> None:
    made = PersonsDecision(decision=decision, document_version=1, **more)
    decide_acceptance(user=user, execution_id=execution.id, step_id="research", said=made, now=timezone.now())


@pytest.fixture
def report(ada: User) -> int:
    return reports.publish(gated=True)


def test_what_it_was_started_with_is_told_in_words(ada: User, browser: Client, report: int) -> None:
    started = reports.start(ada, budget={"max_cost_usd": "5", "max_calls": 10}, tags=["pilot"], reuse=Reuse.CURRENT)
    text = shown(browser, started)
    assert "A tool library for the city." in text
    assert "Limits $5.00 · 10 calls Tags pilot" in text
    assert "What is current is used, and no model is called for it." in text
    plain = shown(browser, reports.start(ada, key="plain"))
    assert "Limits none" in plain and "All steps are written anew." in plain


def test_the_script_of_a_dry_run_is_told_in_words(ada: User, browser: Client, report: int) -> None:
    script = DryRunScript(
        steps={"research": StepScript(fail=("timed_out", "model_refused"), ask=(reports.QUESTIONS[0],), invalid=2)},
        latency_seconds=2,
    )
    text = shown(browser, reports.start(ada, script=script))
    assert "each call takes 2.0 s" in text
    assert (
        "Research : its first 2 calls fail: it takes too long, the model refuses; it asks 1 question; "
        "2 outputs are not valid"
    ) in text
    assert "All calls succeed." in shown(browser, reports.start(ada, key="plain", script=DryRunScript()))


def test_answers_are_told_with_labels_and_who_gave_them(ada: User, browser: Client, report: int) -> None:
    asked = reports.ask(reports.start(ada))
    text = shown(browser, asked)
    assert "open asked" in text and "Who decides? no answer yet" in text
    answer(ada, asked, n1="Ms Ode", n2="l")
    text = shown(browser, asked)
    assert "ada answered" in text
    assert "Who decides? Ms Ode" in text
    assert "Which size? Large" in text
    assert "Is there a budget? no" in text  # its default


def test_several_choices_and_a_missing_answer(ada: User, browser: Client, report: int) -> None:
    questions = (
        QuestionDraft(text="Which sizes?", answer_type=AnswerType.MULTI_CHOICE, choices=SIZES),
        QuestionDraft(text="Anything else?", required=False),
    )
    asked = reports.ask(reports.start(ada), questions)
    answer(ada, asked, n1=["s", "l"])
    text = shown(browser, asked)
    assert "Which sizes? Small, Large" in text
    assert "Anything else? no answer" in text


def test_a_file_that_answers_is_a_link_for_those_who_may_read_it(ada: User, browser: Client, report: int) -> None:
    plan = QuestionDraft(text="Where is the plan?", answer_type=AnswerType.FILE)
    asked = reports.ask(reports.start(ada), (plan,))
    sent = browser.post("/api/v1/files", {"file": SimpleUploadedFile("plan.txt", b"The plan.")})
    answer(ada, asked, n1=sent.json()["id"])
    page = browser.get(path_of(asked)).content.decode()
    assert f'<a href="/api/v1/files/{sent.json()["id"]}/content">plan.txt</a>' in page


def test_default_answers_at_the_deadline_are_said_to_be_so(ada: User, browser: Client, report: int) -> None:
    policy = ClarificationPolicy(deadline_seconds=60, on_deadline=OnDeadline.DEFAULTS)
    question = QuestionDraft(text="How many?", default="Ten")
    asked = reports.ask(reports.start(ada), (question,), policy=policy)
    assert "then the default answers apply" in shown(browser, asked)
    duties.act_on_deadlines(now=timezone.now() + timedelta(seconds=61))
    text = shown(browser, asked)
    assert "The deadline passed without answers, so the default answers apply." in text
    assert "How many? Ten" in text


def test_decisions_have_their_comments_and_passages(ada: User, browser: Client, report: int) -> None:
    waiting = reports.hand_in(reports.start(ada))
    remark = PassageComment(pointer="/title", quote="findings", text="Which ones?")
    decide(
        ada, waiting, AcceptanceAction.REQUEST_CHANGES, comment="Put it first.", comments=(remark,), only_commented=True
    )
    text = shown(browser, waiting)
    assert "ada sent back version 1" in text
    assert "Put it first. Title findings Which ones? All else was to stay as it was." in text
    document = ExecutionStep.objects.get(execution_id=waiting.id, step_id="research").document_id
    page = browser.get(path_of(waiting)).content.decode()
    assert f'href="/documents/{document}/?v=1"' in page
    assert "What changed" not in page
    ExecutionStep.objects.filter(execution_id=waiting.id, step_id="research").update(document_version=2)
    assert f'href="/documents/{document}/compare/?a=1&amp;b=2"' in browser.get(path_of(waiting)).content.decode()


def test_an_erased_execution_says_so_and_keeps_who_decided(ada: User, browser: Client, report: int) -> None:
    waiting = reports.hand_in(reports.start(ada))
    decide(ada, waiting, AcceptanceAction.REJECT, comment="Not this.")
    assert "Not this." in shown(browser, waiting)
    erase_execution(user=ada, execution_id=waiting.id, now=timezone.now())
    text = shown(browser, waiting)
    assert "The brief was erased." in text
    assert "Questions, answers and comments were erased." in text
    assert "ada rejected version 1" in text
    assert "Not this." not in text
    assert "Start again" not in text


def test_steps_come_in_pages(ada: User, browser: Client, report: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reports.ask(reports.start(ada))
    row = ExecutionStep.objects.get(execution_id=asked.id, step_id="research")
    for number in range(4):
        row.pk, row.step_id, row.label, row.item_order = None, f"research@e-{number}", f"Epic {number}", number
        row.save()
    monkeypatch.setattr(said, "PAGE_SIZE", 2)
    pages = [browser.get(path_of(asked, f"?page={number}")).content.decode() for number in (1, 2, 3)]
    found = [re.findall(r'<article class="card" id="said-([^"]+)"', each) for each in pages]
    assert found == [["research", "research@e-0"], ["research@e-1", "research@e-2"], ["research@e-3"]]
    assert ['rel="next"' in each for each in pages] == [True, True, False]
    for query in ("?page=4", "?page=0", "?page=x"):
        assert browser.get(path_of(asked, query)).status_code == 404


def test_the_link_to_start_again_is_for_those_who_may_start(ada: User, browser: Client, report: int) -> None:
    started = reports.start(ada)
    assert f'href="/executions/new/?from={started.id}"' in browser.get(path_of(started)).content.decode()
    client = Client()
    client.force_login(ensure_user(name="dora"))
    ScopeRole.objects.create(scope=scope_of(ada, "alpha"), user=ensure_user(name="dora"), role=Role.REVIEWER)
    assert "Start again" not in shown(client, started)


def test_what_people_said_is_a_part_with_an_entity_tag(ada: User, browser: Client, report: int) -> None:
    asked = reports.ask(reports.start(ada))
    address = f"/executions/{asked.id}/parts/said/"
    part = browser.get(address)
    assert part.content.decode().strip() in browser.get(path_of(asked)).content.decode()
    assert browser.get(address, headers={"If-None-Match": part["ETag"]}).status_code == 304
    eve = Client()
    eve.force_login(ensure_user(name="eve"))
    assert eve.get(address).status_code == 404


@pytest.mark.parametrize(
    ("pointer", "place"),
    [("/epics/0/goal", "Epics 1, Goal"), ("/a~1b", "A/b"), ("", "the whole document"), ("/0", "0")],
)
def test_places_are_told_in_words(pointer: str, place: str) -> None:
    assert said.place_in_words(pointer) == place
