"""Files as answers and as documents over HTTP, and the limits on files that are used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from access.permissions import Role
from common import limits as module
from common.limits import limits
from documents.models import Document, File
from executions.engine.domain.clarification import AnswerType, QuestionDraft
from executions.engine.domain.execution import Execution
from executions.persistence import repositories
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.files.workbooks import picture
from tests.integration.api.checks import grant, pointers, state
from tests.integration.api.decisions.test_clarification_api import answer
from tests.integration.api.documents.test_files_api import BRIEF, start, upload

pytestmark = pytest.mark.django_db

PLAN = QuestionDraft(text="Where is the plan?", answer_type=AnswerType.FILE)
SITE = QuestionDraft(text="And the site?", answer_type=AnswerType.FILE, required=False)
KEY = "research.1.1"


@pytest.fixture
def waiting(ada: Caller, report: int) -> Execution:
    """An execution of Ada's that waits for files."""
    return reports.ask(reports.start(ada.user), (PLAN, SITE))


def add(caller: Caller, **body: Any) -> Any:
    """Add a document in the project alpha."""
    return caller.post("/documents/", {"scope_type": "project", "scope_id": "alpha", "type": "plan", **body})


def test_a_file_is_an_answer_and_belongs_to_the_readers_of_the_scope_then(
    ada: Caller, eve: Caller, waiting: Execution
) -> None:
    file = upload(ada)
    response = answer(ada, waiting, {KEY: file["id"].upper()})
    assert response.status_code == 200, response.content
    [step, *_] = ada.get(f"/executions/{waiting.id}/steps").json()["data"]
    assert step["clarification"]["answers"] == {KEY: file["id"]}
    assert [each["answer_type"] for each in step["clarification"]["questions"]] == ["file", "file"]
    assert ada.delete(f"/files/{file['id']}").json()["code"] == "file-in-use"
    assert eve.get(f"/files/{file['id']}/content").status_code == 404
    grant(eve.user, waiting.scope.key, Role.VIEWER)
    assert eve.get(f"/files/{file['id']}/content").content == BRIEF
    version = ada.get(f"/executions/{waiting.id}").json()["version"]
    assert answer(ada, waiting, {KEY: file["id"]}).json()["version"] == version  # the same answer again


def test_what_is_no_usable_file_is_named_and_uses_no_other(ada: Caller, eve: Caller, waiting: Execution) -> None:
    mine, foreign, before = upload(ada)["id"], upload(eve)["id"], state(waiting)
    details = set()
    for each, code in ((foreign, "unknown_file"), (str(uuid4()), "unknown_file"), ("plan.pdf", "wrong_answer")):
        response = answer(ada, waiting, {KEY: each, "research.1.2": mine})
        assert (response.status_code, pointers(response)) == (422, {f"/answers/{KEY}"}), each
        [error] = response.json()["errors"]
        assert error["code"] == code
        details |= {error["detail"]} if code == "unknown_file" else set()
    for wrong in (7, True, [mine], {"id": mine}):
        assert pointers(answer(ada, waiting, {KEY: wrong})) == {f"/answers/{KEY}"}
    assert len(details) == 1
    assert state(waiting) == before
    assert not File.objects.exclude(scope=None).exists()
    assert answer(ada, waiting, {PLAN.text: mine}).status_code == 200


@pytest.mark.parametrize(
    ("limit", "most", "code"),
    [
        ("execution_files", 1, "too_many_files"),
        ("execution_file_bytes", 2 * len(BRIEF) - 1, "too_many_bytes"),
        ("scope_file_bytes", 2 * len(BRIEF) - 1, "scope_full"),
    ],
)
def test_files_of_an_execution_and_of_a_scope_have_limits(
    ada: Caller, waiting: Execution, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, code: str
) -> None:
    first, second = upload(ada)["id"], upload(ada, name="other.txt")["id"]
    monkeypatch.setattr(module, "_current", replace(limits(), **{limit: most}))
    refused = [
        (answer(ada, waiting, {KEY: first, "research.1.2": second}), f"/answers/{KEY}"),
        (start(ada, {"files": [first, second]}), "/input/files"),
    ]
    for response, place in refused:
        assert (response.status_code, pointers(response)) == (422, {place})
    if code != "too_many_files":  # a list that is too long is refused before
        assert {each.json()["errors"][0]["code"] for each, _ in refused} == {code}
        assert all("are the limit." in each.json()["errors"][0]["detail"] for each, _ in refused)
    assert not File.objects.exclude(scope=None).exists()
    assert answer(ada, waiting, {KEY: first}).status_code == 200
    assert start(ada, {"files": [first]}).status_code == 201  # it is counted once


def test_the_files_of_a_brief_and_of_answers_count_together(
    ada: Caller, report: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief, more = upload(ada)["id"], upload(ada, name="other.txt")["id"]
    started = start(ada, {"files": [brief]}).json()
    waiting = reports.ask(repositories.get(UUID(started["execution_id"])), (PLAN, SITE))
    monkeypatch.setattr(module, "_current", replace(limits(), execution_files=1))
    assert pointers(answer(ada, waiting, {KEY: more})) == {f"/answers/{KEY}"}
    assert answer(ada, waiting, {KEY: brief}).status_code == 200


def test_a_file_becomes_a_document(ada: Caller, eve: Caller) -> None:
    file = upload(ada)
    response = add(ada, file=file["id"])
    assert response.status_code == 201, response.content
    body = response.json()
    assert body["content"] == f"[brief.txt#lines=1-2]\n{BRIEF.decode().strip()}"
    assert (body["title"], body["version"]) == ("brief.txt", 1)
    assert body["provenance"]["file"] == {
        "id": file["id"],
        "name": "brief.txt",
        "type": "text/plain",
        "sha256": file["sha256"],
    }
    assert ada.get(f"/files/{file['id']}").json()["scope_id"] == "alpha"
    assert ada.delete(f"/files/{file['id']}").status_code == 409
    grant(eve.user, "alpha", Role.VIEWER)
    assert eve.get(f"/files/{file['id']}/content").content == BRIEF
    assert "400 tools" in eve.get(f"/documents/{body['id']}", {"format": "markdown"}).content.decode()
    assert eve.get("/documents/", {"q": "branches"}).json()["data"][0]["id"] == body["id"]
    edited = ada.put(f"/documents/{body['id']}", {"content": "Lend 500 tools."}, If_Match=response.headers["ETag"])
    assert edited.json()["provenance"]["file"]["id"] == file["id"]


def test_a_picture_is_a_document_too(ada: Caller) -> None:
    file = upload(ada, picture("PNG"), name="site.png")
    body = add(ada, file=file["id"], title="The site").json()
    assert (body["title"], body["content"]) == ("The site", "This file (image/png) has no text that can be read.")


def test_a_document_has_a_content_or_a_usable_file(ada: Caller, eve: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, foreign = upload(ada)["id"], upload(eve)["id"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"file": foreign}, "/file"),
        ({"file": str(uuid4())}, "/file"),
        ({"file": "plan.pdf"}, "/file"),
        ({"file": mine, "content": "A text.", "title": "T"}, "/file"),
        ({"title": "T"}, "/content"),
    ]
    for body, place in cases:
        response = add(ada, **body)
        assert (response.status_code, pointers(response)) == (422, {place}), body
    long = upload(ada, b"A line of text.\n" * 200, name="long.txt")["id"]
    for file, limit in ((mine, {"scope_file_bytes": len(BRIEF) - 1}), (long, {"request_bytes": 2_000})):
        with monkeypatch.context() as patch:
            patch.setattr(module, "_current", replace(limits(), **limit))
            response = add(ada, file=file)
        assert (response.status_code, pointers(response)) == (422, {"/file"})
        assert "are the limit" in response.json()["errors"][0]["detail"]
    assert not File.objects.exclude(scope=None).exists()
    assert not Document.objects.exists()
    assert pointers(add(eve, file=mine)) == {"/file"}
