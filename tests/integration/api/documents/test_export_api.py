"""The documents of an execution as one file over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from executions.engine.domain.copying import replace
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.states import Reuse
from executions.engine.transitions import acceptance, core
from executions.models import ExecutionStep
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.rendering import docx_headings, zip_entries

pytestmark = pytest.mark.django_db

TYPES = {
    "markdown": ("text/markdown; charset=utf-8", b"# report: alpha", "md"),
    "html": ("text/html; charset=utf-8", b"<!doctype html>", "html"),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"pk", "docx"),
    "pdf": ("application/pdf", b"%pdf-", "pdf"),
    "zip": ("application/zip", b"pk", "zip"),
}


def read(caller: Caller, execution: Any, name: str, **headers: str) -> Any:
    response = caller.get(f"/executions/{execution.id}/export?format={name}", None, **headers)
    assert response.status_code == 200, response.content
    return response


def test_an_execution_is_one_file_in_every_format(ada: Caller, eve: Caller) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada.user))
    made = {}
    for name, (media_type, beginning, extension) in TYPES.items():
        response = made[name] = read(ada, done, name)
        assert response.headers["Content-Type"] == media_type
        assert response.content.lower().startswith(beginning)
        assert response.headers["Content-Disposition"] == f'attachment; filename="Report-alpha.{extension}"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert docx_headings(made["docx"].content)[:3] == ["Report: alpha", "The findings", "The summary"]
    for name in ("markdown", "docx"):
        again = ada.get(f"/executions/{done.id}/export", None, Accept=TYPES[name][0])
        assert again.content == made[name].content
    tag = {"If_None_Match": made["markdown"].headers["ETag"]}
    assert ada.get(f"/executions/{done.id}/export?format=markdown", None, **tag).status_code == 304
    assert ada.get(f"/executions/{done.id}/export").headers["Content-Type"].startswith("text/markdown")
    assert eve.get(f"/executions/{done.id}/export?format=pdf").status_code == 404
    refused = ada.get(f"/executions/{done.id}/export?format=odt")
    assert refused.status_code == 422
    detail = "'odt' is not one of: markdown, html, docx, pdf, zip."
    assert refused.json()["errors"] == [{"pointer": "/format", "code": "invalid_choice", "detail": detail}]
    assert ada.get(f"/executions/{done.id}/export", None, accept="image/png").status_code == 406


def test_a_zip_file_has_what_a_program_needs(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    path = f"/executions/{waiting.id}/steps/research/acceptance"
    assert ada.post(path, {"decision": "accept", "document_version": 1}).status_code == 200
    entries = zip_entries(read(ada, waiting, "zip").content)
    assert set(entries) == {"01-findings.json", "01-findings.md", "brief.md", "index.md", "manifest.json"}
    assert json.loads(entries["01-findings.json"]) == {"title": "The findings"}
    assert entries["brief.md"] == b"A tool library for the city.\n"
    manifest = json.loads(entries["manifest.json"])
    [made] = manifest["documents"]
    assert made["files"]["01-findings.json"] == hashlib.sha256(entries["01-findings.json"]).hexdigest()
    assert (made["version"], len(made["content_hash"]), made["cost"]["cost_usd"]) == (1, 64, "0.0012000000")
    assert [(each["decision"], each["decided_by"]) for each in made["decisions"]] == [("accept", "ada")]
    assert (manifest["cost"]["cost_usd"], manifest["cost"]["total_tokens"]) == ("0.0012000000", 160)
    assert [each["status"] for each in manifest["steps"]] == ["completed", "pending"]
    assert "Accepted by ada" in entries["01-findings.md"].decode()
    again = reports.claim(reports.start(ada.user, reuse=Reuse.CURRENT))
    document_id = waiting.steps["research"].document_id
    assert document_id is not None
    head = replace(reports.paper(waiting, "research"), id=document_id)
    reused = reports.move(
        again,
        lambda now, context: core.reuse_document(now, "research", head, input_versions=(), context=context),
    )
    assert "Accepted by ada" in read(ada, reused, "markdown").content.decode()


def test_what_is_not_final_is_left_out_and_told(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    for name in TYPES:
        response = ada.get(f"/executions/{waiting.id}/export?format={name}")
        assert (response.status_code, response.json()["code"]) == (409, "nothing-to-export")
        assert response.headers["Content-Type"] == "application/problem+json"
    reports.publish()
    begun = reports.finish_step(reports.claim(reports.start(ada.user, "beta")), "research")
    text = read(ada, begun, "markdown").content.decode()
    assert "The findings" in text
    assert "Not complete: 1 of 2 steps have a document, running" in text
    assert "- **Not complete:** 1 of 2 steps have a document\n" in text.partition("# The findings")[0]
    begun, call = reports.begin(begun, "summary")
    waiting = reports.move(
        begun,
        lambda now, context: acceptance.request_acceptance(now, "summary", context=context),
        calls=(reports.answered(call),),
        document=reports.paper(begun, "summary"),
    )
    text = read(ada, waiting, "markdown").content.decode()
    assert "- **Left out, a decision is missing:** Summary" in text
    assert "The summary" not in text


def test_a_dry_run_is_marked(ada: Caller) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada.user, script=DryRunScript()))
    text = read(ada, done, "markdown").content.decode()
    assert text.startswith("# Report: alpha (dry run)")
    assert "Dry run: the rehearsal model wrote the documents" in text


def test_a_document_that_does_not_wait_for_a_decision_is_not_said_to(ada: Caller) -> None:
    reports.publish(gated=True)
    begun = reports.hand_in(reports.start(ada.user))
    path = f"/executions/{begun.id}/steps/research/acceptance"
    assert ada.post(path, {"decision": "accept", "document_version": 1}).status_code == 200
    begun, call = reports.begin(reports.claim(reports.read(begun)), "summary")
    waiting = reports.move(
        begun,
        lambda now, context: acceptance.request_acceptance(now, "summary", context=context),
        calls=(reports.answered(call),),
        document=reports.paper(begun, "summary"),
    )
    step = ExecutionStep.objects.filter(execution_id=waiting.id, step_id="summary")
    for values in ({"blocked_by_limit": "max_cost_usd"}, {"blocked_by_limit": "", "status": "cancelled"}):
        step.update(**values)
        assert "- **Left out, not final:** Summary" in read(ada, waiting, "markdown").content.decode()
        assert ada.get(f"/executions/{waiting.id}/steps").content.count(b'"needed":true') == 0


def test_a_person_s_version_names_who_accepted_it_in_another_execution(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    decision = {"decision": "accept", "document_version": 1, "content": {"title": "The better findings"}}
    response = ada.post(f"/executions/{waiting.id}/steps/research/acceptance", decision)
    assert response.status_code == 200, response.content
    document_id = waiting.steps["research"].document_id
    assert document_id is not None
    again = reports.claim(reports.start(ada.user, reuse=Reuse.CURRENT))
    head = replace(reports.paper(waiting, "research"), id=document_id, version=2)
    reused = reports.move(
        again,
        lambda now, context: core.reuse_document(now, "research", head, input_versions=(), context=context),
    )
    entries = zip_entries(read(ada, reused, "zip").content)
    assert "Accepted by ada" in entries["01-findings.md"].decode()
    [made] = json.loads(entries["manifest.json"])["documents"]
    assert [each["decided_by"] for each in made["decisions"]] == ["ada"]


def test_too_much_for_one_file_is_refused(ada: Caller, restrict: Callable[..., None]) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada.user))
    restrict(export_bytes=40)
    response = ada.get(f"/executions/{done.id}/export?format=zip")
    assert (response.status_code, response.json()["code"]) == (409, "rendering-too-large")
    assert "47 bytes" in response.json()["detail"]
