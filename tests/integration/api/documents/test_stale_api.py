"""Stale documents over HTTP, and executions that make them again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from access.models import Scope
from documents.models import Document
from executions import models
from executions.composition import build_ports
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.transitions import core
from executions.models import ExecutionEvent
from executions.services import staleness
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.documents import store
from tests.factories.engine import LINE
from tests.integration.api.checks import pointers
from tests.support.two_connections import elsewhere
from workflows import repository as workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def finished(ada: Caller) -> Execution:
    """An execution of Ada's that has ended; its summary was made from its findings."""
    reports.publish()
    return reports.finish(reports.start(ada.user))


def pinned(execution: Execution) -> dict[str, str]:
    """Note in the summary's provenance what it was made from; return the ids by type."""
    ids = {row.type: row for row in Document.objects.all()}
    pin = {"type": "findings", "document_id": str(ids["findings"].id), "version": 1}
    ids["summary"].versions.update(provenance={"inputs": [pin]})
    return {kind: str(row.id) for kind, row in ids.items()}


def put(caller: Caller, key: str, title: str, version: int) -> None:
    response = caller.put(f"/documents/{key}", {"content": {"title": title}}, If_Match=f'"{version}"')
    assert response.status_code == 200, response.content


def stale_ids(caller: Caller) -> list[str]:
    return [each["id"] for each in caller.get("/documents/?stale=true").json()["data"]]


def test_an_edit_makes_what_was_made_from_it_stale(ada: Caller, finished: Execution) -> None:
    ids = pinned(finished)
    assert ada.get(f"/documents/{ids['summary']}").json()["stale_because"] == []
    put(ada, ids["findings"], "By Ada", 1)
    shown = ada.get(f"/documents/{ids['summary']}").json()
    assert shown["stale"] is True
    assert shown["stale_because"] == [
        {
            "kind": "input_changed",
            "document_id": ids["findings"],
            "type": "findings",
            "from_version": 1,
            "to_version": 2,
        }
    ]
    assert ada.get(f"/documents/{ids['findings']}").json()["stale"] is False
    assert stale_ids(ada) == [ids["summary"]]


@pytest.mark.parametrize("most", [staleness.MAX_READERS, 0])
def test_an_edit_reaches_what_was_made_from_what_was_made_from_it(
    ada: Caller, finished: Execution, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness, "MAX_READERS", most)  # 0: the whole root scope is looked at
    ids = pinned(finished)
    scope = Scope.objects.get(id=finished.scope.id)
    pins = [{"type": "summary", "document_id": ids["summary"], "version": 1}]
    letter = str(store(scope, type="letter", provenance={"inputs": pins}))
    other = str(store(scope, type="other"))
    Document.objects.filter(id=other).update(stale=True)
    put(ada, ids["findings"], "By Ada", 1)
    assert set(stale_ids(ada)) == {ids["summary"], letter} | ({other} if most else set())
    put(ada, letter, "By Ada", 1)  # from a stale document all the same
    assert letter in stale_ids(ada)
    put(ada, ids["summary"], "By Ada", 1)
    assert set(stale_ids(ada)) == {letter} | ({other} if most else set())


def test_a_restored_version_makes_it_current_again(ada: Caller, finished: Execution) -> None:
    ids = pinned(finished)
    put(ada, ids["findings"], "By Ada", 1)
    restored = ada.post(f"/documents/{ids['findings']}/restore", {"version": 1}, If_Match='"2"')
    assert restored.status_code == 200, restored.content
    shown = ada.get(f"/documents/{ids['summary']}").json()
    assert (shown["stale"], shown["stale_because"], stale_ids(ada)) == (False, [], [])


def test_a_document_is_stale_until_it_is_accepted(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    [row] = Document.objects.all()
    assert [each["kind"] for each in ada.get(f"/documents/{row.id}").json()["stale_because"]] == ["not_accepted"]
    staleness.follow(since=None)
    assert stale_ids(ada) == [str(row.id)]
    decision = {"decision": "accept", "document_version": 1}
    response = ada.post(f"/executions/{waiting.id}/steps/research/acceptance", decision)
    assert response.status_code == 200, response.content
    assert (ada.get(f"/documents/{row.id}").json()["stale"], stale_ids(ada)) == (False, [])


def test_a_document_is_stale_while_another_step_works(ada: Caller) -> None:
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada.user))
    models.Execution.objects.update(status=ExecutionStatus.RUNNING.value, waiting_on=[])
    assert staleness.follow(since=None).changed == 1
    assert len(stale_ids(ada)) == 1


def test_an_unaccepted_document_of_a_cancelled_execution_is_stale(ada: Caller) -> None:
    reports.publish(gated=True)
    reports.cancel(ada.user, reports.hand_in(reports.start(ada.user)).id)
    assert staleness.follow(since=None).changed == 1
    assert len(stale_ids(ada)) == 1


def test_a_row_that_a_decision_could_not_change_becomes_current_later(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    until = staleness.follow(since=None).until
    decision = {"decision": "accept", "document_version": 1}
    response = ada.post(f"/executions/{waiting.id}/steps/research/acceptance", decision)
    assert response.status_code == 200, response.content
    Document.objects.update(stale=True)  # as if the row had been locked
    assert staleness.follow(since=until).changed == 1
    assert stale_ids(ada) == []
    assert staleness.follow(since=until).changed == 0


def test_a_worker_follows_the_versions_of_models(ada: Caller, finished: Execution) -> None:
    ids = pinned(finished)
    first = staleness.follow(since=None)
    assert (first.until is not None, first.changed) == (True, 0)
    again = reports.claim(reports.start(ada.user))
    again, call = reports.begin(again)
    other = reports.paper(again, "research")
    made = reports.move(
        again,
        lambda now, context: core.complete_step(now, "research", context=context),
        calls=(reports.answered(call),),
        document=replace(other, content={"title": "Other findings"}, created_at=timezone.now()),
    )
    assert made.steps["research"].document_version == 2
    second = staleness.follow(since=first.until, seen=first.seen)
    assert (second.changed, stale_ids(ada)) == (1, [ids["summary"]])
    third = staleness.follow(since=second.until, seen=second.seen)
    assert (third.refreshed, third.changed) == (1, 0)
    fourth = staleness.follow(since=third.until, seen=third.seen)
    assert (fourth.refreshed, fourth.seen) == (0, third.seen)  # nothing has changed since
    Document.objects.filter(id=ids["summary"]).update(stale=False)
    assert staleness.follow(since=fourth.until, seen=fourth.seen).changed == 1


@pytest.mark.django_db(transaction=True)
def test_a_locked_row_is_looked_at_again(ada: Caller) -> None:
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada.user))
    with transaction.atomic():
        Document.objects.select_for_update().get()
        first = elsewhere(lambda: staleness.follow(since=None))
    assert (first.changed, first.seen) == (0, {})
    assert staleness.follow(since=first.until, seen=first.seen).changed == 1


def start(caller: Caller, **changes: Any) -> UUID:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A brief.", **changes}
    response = caller.post("/executions/", body)
    assert response.status_code == 201, response.content
    return UUID(response.json()["execution_id"])


def run(execution_id: UUID) -> Execution:
    """Run an execution with the rehearsal model until it waits or has ended."""
    return asyncio.run(ExecutionRunner(build_ports(), execution_id=execution_id, worker="tests").run())


def events(execution_id: UUID, *types: str) -> list[tuple[str, str | None, Any]]:
    rows = ExecutionEvent.objects.filter(execution_id=execution_id, event_type__in=types).order_by("sequence")
    return [(row.event_type, row.step_id, row.data) for row in rows]


@pytest.mark.django_db(transaction=True)
def test_an_execution_that_reuses_documents_pays_for_none_that_is_current(ada: Caller) -> None:
    workflows.publish(LINE.rehearsed, now=timezone.now())
    assert run(start(ada)).status is ExecutionStatus.COMPLETED
    again = start(ada, reuse="current")
    ended = run(again)
    told = events(again, "step_reused", "step_completed", "step_started")
    assert [(kind, step) for kind, step, _ in told] == [
        (kind, step) for step in ("one", "two") for kind in ("step_reused", "step_completed")
    ]
    one = ended.steps["one"]
    assert told[0][2]["document_id"] == str(one.document_id)
    assert (told[0][2]["document_version"], told[1][2]["cost_usd"]) == (1, "0.0000000000")
    assert set(told[1][2]["usage"].values()) == {0}
    shown = ada.get(f"/executions/{again}").json()
    assert (shown["reuse"], shown["usage"]["calls"], shown["cost_usd"]) == ("current", 0, "0.0000000000")


def test_another_word_for_reuse_is_refused(ada: Caller, report: int) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A.", "reuse": "all"}
    response = ada.post("/executions/", body)
    assert (response.status_code, pointers(response)) == (422, {"/reuse"})


def test_a_persons_version_after_a_rejected_one_is_current(ada: Caller) -> None:
    reports.publish(gated=True)
    rejected = reports.hand_in(reports.start(ada.user))
    decision = {"decision": "reject", "document_version": 1}
    assert ada.post(f"/executions/{rejected.id}/steps/research/acceptance", decision).status_code == 200
    staleness.follow(since=None)
    [key] = stale_ids(ada)
    put(ada, key, "By Ada", 1)
    assert (ada.get(f"/documents/{key}").json()["stale_because"], stale_ids(ada)) == ([], [])


def test_all_plans_are_allowed_where_staleness_is_looked_for(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    decision = {"decision": "request_changes", "comment": "Shorter.", "document_version": 1}
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_hashjoin")
        assert cursor.fetchone() == ("off",)  # for the rest of the transaction, which is the test's
        response = ada.post(f"/executions/{waiting.id}/steps/research/acceptance", decision)
        assert response.status_code == 200, response.content
        cursor.execute("SHOW enable_hashjoin")
        assert cursor.fetchone() == ("on",)
