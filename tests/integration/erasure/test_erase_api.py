"""`DELETE /executions/{id}`: who may erase what, what goes, and what stays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from access.models import AuditEntry, KeptAnswer
from access.permissions import Role
from documents import repository as document_rows
from documents.models import Document, DocumentComment, DocumentVersion, File, StoredContent
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Reuse
from executions.models import Execution as Row
from executions.models import ExecutionEvent, ExecutionStep, InboxEntry, StepDraft
from executions.persistence import repositories
from executions.persistence.journal.locked_batch import LockedBatch
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, state
from tests.integration.api.decisions.test_clarification_api import answer
from tests.integration.api.documents.test_files_api import start, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def finished(ada: Caller, report: int) -> Execution:
    """An execution of Ada's that has ended."""
    return reports.finish(reports.start(ada.user))


def erase(caller: Caller, execution: Execution, **headers: str) -> Any:
    return caller.delete(f"/executions/{execution.id}", **headers)


def documents(caller: Caller) -> dict[str, str]:
    """Return the ids of the listed documents by type."""
    return {each["type"]: each["id"] for each in caller.get("/documents/").json()["data"]}


def put(caller: Caller, document_id: str, title: str, version: int) -> None:
    response = caller.put(f"/documents/{document_id}", {"content": {"title": title}}, If_Match=f'"{version}"')
    assert response.status_code == 200, response.content


# --- who, and when ----------------------------------------------------------------------------------------------------


def test_an_owner_erases_what_has_ended(ada: Caller, finished: Execution) -> None:
    before = ada.get(f"/executions/{finished.id}").json()
    response = erase(ada, finished)
    assert (response.status_code, response.content) == (204, b"")
    after = ada.get(f"/executions/{finished.id}").json()
    assert (after["input"], after["may"], after["status"]) == (None, [], "completed")
    assert after["erased_at"] is not None
    assert before["erased_at"] is None and "erase" in before["may"]
    assert after["version"] == before["version"] + 1
    kept = {"usage", "cost_usd", "known_cost_usd", "progress", "created_at", "finished_at", "tags", "requested_by"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER, Role.OPERATOR])
def test_another_role_is_not_enough(ada: Caller, eve: Caller, finished: Execution, role: Role) -> None:
    assert erase(eve, finished).status_code == 404
    grant(eve.user, "alpha", role)
    before = state(finished)
    response = erase(eve, finished)
    assert (response.status_code, response.json()["needed_role"]) == (403, "owner")
    assert "erase" not in eve.get(f"/executions/{finished.id}").json()["may"]
    assert state(finished) == before


@pytest.mark.parametrize("bring", [lambda one: one, reports.claim, reports.ask, reports.hand_in])
def test_what_has_not_ended_is_refused(ada: Caller, report: int, bring: Any) -> None:
    execution = bring(reports.start(ada.user))
    before = state(execution)
    response = erase(ada, execution)
    assert (response.status_code, response.json()["code"]) == (409, "not-ended")
    assert state(execution) == before
    assert "erase" not in ada.get(f"/executions/{execution.id}").json()["may"]


def test_a_stale_version_is_refused(ada: Caller, finished: Execution) -> None:
    assert erase(ada, finished, If_Match='"1"').status_code == 412
    assert ada.get(f"/executions/{finished.id}").json()["input"] is not None
    assert erase(ada, finished, If_Match=ada.get(f"/executions/{finished.id}").headers["ETag"]).status_code == 204


def test_it_is_recorded_once(ada: Caller, finished: Execution) -> None:
    assert erase(ada, finished).status_code == 204
    erased = ada.get(f"/executions/{finished.id}").json()
    assert erase(ada, finished).status_code == 204
    assert ada.get(f"/executions/{finished.id}").json() == erased
    [entry] = AuditEntry.objects.filter(act="execution.erase")
    assert (entry.user_id, entry.subject_id, entry.version) == (ada.user.pk, str(finished.id), erased["version"])
    assert entry.root_id == finished.scope.id


# --- what goes, and what stays ----------------------------------------------------------------------------------------


def test_the_numbers_of_calls_stay_and_their_texts_go(ada: Caller, finished: Execution) -> None:
    reply = {"provider": "scripted", "model": "writer-1", "text": "Secret.", "raw": {"a": "Secret."}}
    reply |= {"usage": reports.USAGE.model_dump(), "provider_request_id": "r-1", "tool_calls": []}
    ModelCall.objects.update(reply=reply, error="Secret.", provider_request_id="r-1")
    costs = ada.get(f"/telemetry/executions/{finished.id}/costs").json()
    hashes = set(ModelCall.objects.values_list("request_hash", flat=True))
    erase(ada, finished)
    for each in costs["steps"]:
        for attempt in each["attempts"]:
            for call in attempt["calls"]:
                call["error"] = ""
    assert ada.get(f"/telemetry/executions/{finished.id}/costs").json() == costs
    assert set(ModelCall.objects.values_list("request_hash", flat=True)) == hashes
    for row in ModelCall.objects.all():
        assert "Secret" not in str(row.reply) + row.error
        assert row.erased_at is not None


def test_a_reply_that_comes_later_is_booked_without_its_text(ada: Caller, report: int) -> None:
    execution, call = reports.begin(reports.claim(reports.start(ada.user)))
    reports.cancel(ada.user, execution.id)
    assert erase(ada, execution).status_code == 204
    late = reports.answered(call)
    assert late.reply is not None
    told = late.reply.model_copy(update={"text": "Secret.", "raw": {"a": "Secret."}})
    LockedBatch([replace(late, reply=told)], now=timezone.now(), known={}).commit()
    [row] = ModelCall.objects.all()
    assert (row.status, row.cost_usd) == ("discarded", Decimal("0.0012"))
    assert "Secret" not in str(row.reply)
    assert row.erased_at is not None


def test_versions_say_that_they_were_erased(ada: Caller, finished: Execution) -> None:
    ids = documents(ada)
    before = {kind: ada.get(f"/documents/{key}/versions").json()["data"][0] for kind, key in ids.items()}
    erase(ada, finished)
    for kind, key in ids.items():
        found = ada.get(f"/documents/{key}").json()
        assert (found["content"], found["title"], found["may"]) == (None, "Erased", [])
        assert found["erased_at"] is not None
        assert found["provenance"] == before[kind]["provenance"]
        [row] = DocumentVersion.objects.filter(document_id=key)
        assert (row.content, row.content_hash != "") == ({}, True)
        for form in ("markdown", "html", "docx", "pdf"):
            response = ada.get(f"/documents/{key}?format={form}")
            assert (response.status_code, response.json()["code"]) == (410, "erased")
        assert ada.get(f"/documents/{key}/diff").status_code == 410
    assert documents(ada) == {}
    assert ada.get("/documents/?q=findings").json()["data"] == []
    assert ada.get("/scopes/project/alpha").json()["documents"] == 0
    assert set(Document.objects.values_list("search", flat=True)) == {""}


def test_provenance_loses_what_it_quotes(ada: Caller, finished: Execution) -> None:
    origin = {"step_hash": "1", "brief_hash": "2"}
    told = {"model": "a:b", "inputs": [], "origin": origin, "answers": [{"answer": "Secret."}], "item": {"label": "S"}}
    DocumentVersion.objects.update(provenance={**told, "decisions": [{"comment": "Secret."}], "review": {"a": 1}})
    erase(ada, finished)
    for row in DocumentVersion.objects.all():
        assert row.provenance == {"model": "a:b", "inputs": [], "origin": origin}


def test_prompts_and_exports_are_gone_and_costs_are_shown(ada: Caller, finished: Execution) -> None:
    erase(ada, finished)
    response = ada.get(f"/executions/{finished.id}/export?format=markdown")
    assert (response.status_code, response.json()["code"]) == (410, "erased")
    assert ada.post(f"/executions/{finished.id}/cancel").status_code == 409
    other = reports.finish(reports.start(ada.user, "beta"))
    compared = ada.get(f"/executions/compare?a={finished.id}&b={other.id}")
    assert compared.status_code == 200, compared.content
    [step, *_] = ada.get(f"/executions/{finished.id}/steps").json()["data"]
    assert (step["status"], step["document"]["title"]) == ("completed", "Erased")


def test_what_failed_cannot_be_retried_and_leaves_the_inbox(ada: Caller, report: int) -> None:
    execution = reports.fail(reports.start(ada.user))
    assert InboxEntry.objects.count() == 1
    erase(ada, execution)
    assert InboxEntry.objects.count() == 0
    response = ada.post(f"/executions/{execution.id}/retry", {})
    assert (response.status_code, response.json()["code"]) == (410, "erased")
    [outcome] = ada.post("/executions/bulk", {"action": "retry", "ids": [str(execution.id)]}).json()["data"]
    assert outcome["problem"]["code"] == "erased"
    body = ada.get(f"/executions/{execution.id}").json()
    assert (body["status"], body["error"]) == ("failed", {"code": "model_refused", "message": ""})


def test_answers_and_comments_of_people_go(ada: Caller, report: int) -> None:
    execution = reports.ask(reports.start(ada.user))
    assert answer(ada, execution, reports.GOOD_ANSWERS).status_code == 200
    reports.cancel(ada.user, execution.id)
    decided = {"decision": "reject", "document_version": 1, "comment": "Secret.", "decided_by": "ada"}
    decided |= {"comments": [{"pointer": "", "text": "Secret."}], "decided_at": "2026-11-01T00:00:00Z"}
    ExecutionStep.objects.filter(step_id="research").update(decisions=[decided], label="Secret.", violations=[])
    erase(ada, execution)
    row = ExecutionStep.objects.get(step_id="research")
    assert (row.rounds, row.label, row.violations, row.wait) == ([], "", [], None)
    assert row.decisions == [{**decided, "comment": "", "comments": []}]


def test_of_the_log_the_end_is_left_and_of_drafts_nothing(ada: Caller, finished: Execution) -> None:
    StepDraft.objects.create(execution_id=finished.id, step_id="research", attempt=1, ordinal=1, offset=0, text="S")
    erase(ada, finished)
    [last] = ExecutionEvent.objects.filter(execution_id=finished.id)
    assert last.event_type == "complete"
    body = ada.get(f"/executions/{finished.id}/events").json()
    assert (len(body["data"]), body["oldest"]) == (1, last.sequence)
    assert StepDraft.objects.count() == 0
    row = Row.objects.get(id=finished.id)
    assert (row.erasing, row.pruned) == ("", True)


def test_statistics_of_waiting_stay(ada: Caller, report: int) -> None:
    execution = reports.ask(reports.start(ada.user))
    answer(ada, execution, reports.GOOD_ANSWERS)
    reports.finish_step(reports.finish_step(reports.claim(reports.read(execution)), "research"), "summary")
    before = ada.get("/telemetry/workflows/report/stats").json()
    erase(ada, execution)
    assert ada.get("/telemetry/workflows/report/stats").json() == before


def test_files_go_with_the_last_execution_that_uses_them(ada: Caller, report: int) -> None:
    own, shared, kept = (upload(ada, text.encode(), name=f"{text}.txt")["id"] for text in ("own", "shared", "kept"))
    used = ([own, shared, kept], [shared])
    first, second = (start(ada, {"text": "Read them.", "files": ids}).json()["execution_id"] for ids in used)
    ada.post("/documents/", {"scope_type": "project", "scope_id": "alpha", "type": "plan", "file": kept})
    for each in (first, second):
        reports.finish(repositories.get(UUID(each)))
    assert ada.delete(f"/executions/{first}").status_code == 204
    assert {str(row.id) for row in File.objects.all()} == {shared, kept}
    assert StoredContent.objects.count() == 2
    assert ada.get(f"/files/{own}").status_code == 404
    assert ada.delete(f"/executions/{second}").status_code == 204
    assert {str(row.id) for row in File.objects.all()} == {kept}


def test_a_start_that_is_repeated_after_it_does_not_start_again(ada: Caller, report: int) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "Secret."}
    execution_id = ada.post("/executions/", body, Idempotency_Key="k").json()["execution_id"]
    reports.finish(repositories.get(UUID(execution_id)))
    ada.delete(f"/executions/{execution_id}")
    assert "Secret" not in str(KeptAnswer.objects.values_list("answer", "headers"))
    response = ada.post("/executions/", body, Idempotency_Key="k")
    assert (response.status_code, response.json()["code"]) == (410, "erased")
    assert Row.objects.count() == 1


def test_answers_to_others_stay(ada: Caller, report: int) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A brief."}
    other = ada.post("/executions/", body, Idempotency_Key="k")
    execution = reports.finish(reports.start(ada.user, "beta"))
    erase(ada, execution)
    assert ada.post("/executions/", body, Idempotency_Key="k").json() == other.json()


# --- documents with versions of others --------------------------------------------------------------------------------


def test_a_later_version_of_a_person_stays_the_newest(ada: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    put(ada, key, "Mine", 1)
    ada.post(f"/documents/{key}/comments", {"pointer": "/title", "text": "About it.", "document_version": 1})
    ada.post(f"/documents/{key}/comments", {"pointer": "/title", "text": "About mine."})
    erase(ada, finished)
    found = ada.get(f"/documents/{key}").json()
    assert (found["version"], found["content"], found["erased_at"]) == (2, {"title": "Mine"}, None)
    assert documents(ada) == {"findings": key}
    first, second = reversed(ada.get(f"/documents/{key}/versions").json()["data"])
    assert (first["title"], first["erased_at"] is None) == ("Erased", False)
    assert (second["title"], second["erased_at"]) == ("Mine", None)
    assert [row.text for row in DocumentComment.objects.all()] == ["About mine."]
    restored = ada.post(f"/documents/{key}/restore", {"version": 1}, If_Match='"2"')
    assert (restored.status_code, restored.json()["code"]) == (410, "erased")
    assert ada.get(f"/documents/{key}/diff?from=1&to=2").status_code == 410
    difference = ada.get(f"/documents/{key}/diff").json()
    assert (difference["from"], difference["to"]["version"]) == (None, 2)


def test_an_earlier_version_of_another_execution_becomes_the_newest_again(ada: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    second = reports.finish(reports.start(ada.user))
    assert ada.get(f"/documents/{key}").json()["version"] == 2
    erase(ada, second)
    found = ada.get(f"/documents/{key}").json()
    assert (found["version"], found["title"], found["execution_id"]) == (1, "The findings", str(finished.id))
    row = Document.objects.get(id=key)
    assert (row.last_version, row.search, row.erased_at) == (2, None, None)
    put(ada, key, "Mine", 1)
    assert ada.get(f"/documents/{key}").json()["version"] == 3


def test_a_new_execution_makes_the_next_version_of_an_erased_document(ada: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    erase(ada, finished)
    reports.finish(reports.start(ada.user))
    found = ada.get(f"/documents/{key}").json()
    assert (found["version"], found["content"]) == (2, {"title": "The findings"})
    assert documents(ada)["findings"] == key


def test_a_later_version_of_a_person_tells_no_answers_of_the_erased_one(ada: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    made = DocumentVersion.objects.get(document_id=key)
    told = {"answers": [{"question": "Who?", "answer": "Secret."}], "item": {"keys": ["a"], "label": "Secret."}}
    DocumentVersion.objects.filter(pk=made.pk).update(provenance={**made.provenance, **told})
    put(ada, key, "Mine", 1)
    put(ada, key, "Mine again", 2)
    versions = DocumentVersion.objects.filter(document_id=key)
    assert ["Secret" in str(each.provenance) for each in versions] == [True] * 3
    erase(ada, finished)
    assert ["Secret" in str(each.provenance) for each in versions.all()] == [False] * 3
    assert all("inputs" in each.provenance for each in versions.all() if each.version > 1)
    assert ada.get(f"/documents/{key}").json()["title"] == "Mine again"


def test_a_person_writes_an_erased_document_anew(ada: Caller, eve: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    erase(ada, finished)
    response = ada.put(f"/documents/{key}", {"content": {"title": "Mine"}}, If_Match='"1"')
    assert (response.status_code, response.json()["code"]) == (410, "erased")
    assert eve.put(f"/documents/{key}", {"content": {"title": "Mine"}}, If_Match='"1"').status_code == 404
    assert ada.post(f"/documents/{key}/comments", {"pointer": "", "text": "Why?"}).status_code == 410
    made = ada.post(
        "/documents/", {"scope_type": "project", "scope_id": "alpha", "type": "findings", "content": {"title": "Mine"}}
    )
    assert (made.status_code, made.json()["id"], made.json()["version"]) == (201, key, 2)


def test_an_erased_document_cannot_be_reused_or_read_by_a_start(ada: Caller, finished: Execution) -> None:
    key = documents(ada)["findings"]
    other = reports.start(ada.user, reuse=Reuse.CURRENT)
    event = ExecutionEvent.objects.create(
        execution_id=other.id,
        sequence=99,
        scope_id=other.scope.id,
        scope_sequence=99,
        event_type="step_reused",
        step_id="research",
        timestamp=timezone.now(),
        data={"document_id": key, "document_version": 1, "title": "The findings"},
    )
    erase(ada, finished)  # a retry has changed the pin of the step since
    event.refresh_from_db()
    assert event.data == {"document_id": key, "document_version": 1, "title": ""}
    assert document_rows.existing_types(finished.scope.id, ["findings"]) == frozenset()
