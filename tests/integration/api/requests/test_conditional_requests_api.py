"""Conditional requests: `If-Match` on writes, `If-None-Match` on reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from documents.models import Document
from executions.engine.domain.execution import Execution
from tests.factories.callers import Caller
from tests.factories.reports import ask, claim, finish, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(ada: Caller, report: int) -> Execution:
    """An execution that waits for answers."""
    return ask(claim(start(ada.user)))


GARBAGE = ["1", '"', "", " ", ",", "W/4", 'w/"4"', '"4', "'4'", '"4" "5"', '*, "4"', '"4", *', "**", '"a"b"', '"4";"5"']


@pytest.mark.parametrize("value", GARBAGE)
def test_garbage_is_told_what_is_expected(ada: Caller, waiting: Execution, value: str) -> None:
    response = ada.post(f"/executions/{waiting.id}/cancel", If_Match=value)
    assert (response.status_code, response.json()["code"]) == (400, "bad-precondition")
    assert "double quotes" in response.json()["detail"]
    response = ada.get(f"/executions/{waiting.id}", If_None_Match=value)
    assert (response.status_code, response.json()["code"]) == (400, "bad-precondition")


@pytest.mark.parametrize(
    "value",
    ['"1", "{v}"', '"{v}","99"', ' , "{v}" ,, "x,y"', 'W/"{v}", "{v}"', '"{v}.0123abcd"', "*", " * ", "{etag}"],
)
def test_a_list_that_holds_the_version_fits(ada: Caller, waiting: Execution, value: str) -> None:
    path = f"/executions/{waiting.id}"
    given = value.format(v=waiting.version, etag=ada.get(path).headers["ETag"])
    assert ada.post(f"{path}/cancel", If_Match=given).status_code == 200


@pytest.mark.parametrize(
    "value", ['W/"{v}"', '"{v}0"', '"0{v}"', '"+{v}"', '"{v}e0"', '"x", W/"{v}"', '"' + "9" * 5_000 + '"', '"{v},"']
)
def test_a_list_without_the_version_does_not_fit(ada: Caller, waiting: Execution, value: str) -> None:
    for path, body in (("cancel", None), ("retry", {}), ("steps/research/clarification", {"answers": {}})):
        response = ada.post(f"/executions/{waiting.id}/{path}", body, If_Match=value.format(v=waiting.version))
        assert (response.status_code, response.json()["code"]) == (412, "version-conflict")
    response = ada.patch(f"/executions/{waiting.id}/budget", {"max_calls": 9}, If_Match=value.format(v=waiting.version))
    assert response.status_code == 412


#: Answers without an entity tag that are no lists.
UNTAGGED = {
    "/audit": "a list, without the usual limit",
    "/inbox/stream": "a stream",
    "/me": "a user has no version",
    "/workflows/schema": "a schema",
    "/executions/compare": "made of two executions",
    "/files/{file_id}/content": "may not be stored by a cache",
    "/telemetry/summary": "a statistic",
    "/telemetry/workflows/{workflow_id}/stats": "a statistic",
    "/workflows/{id}/schema/{step}": "a schema",
    "/executions/{execution_id}/stream": "a stream",
    "/scopes/{scope_type}/{scope_id}/stream": "a stream",
}


def test_every_answer_about_one_thing_has_a_tag_or_is_a_written_exception() -> None:
    document = Client().get("/api/v1/openapi.json").json()
    gets = {path.removeprefix("/api/v1"): each["get"] for path, each in document["paths"].items() if "get" in each}
    lists = {path for path, each in gets.items() if "limit" in {one["name"] for one in each.get("parameters", [])}}
    tagged = {path for path, each in gets.items() if "304" in each["responses"]}
    assert gets.keys() - lists - tagged == UNTAGGED.keys()


def paths(ada: Caller) -> list[str]:
    """Return the paths of all answers with an entity tag."""
    execution = finish(start(ada.user))
    document = Document.objects.order_by("id")[0].id
    return [
        f"/executions/{execution.id}",
        f"/documents/{document}",
        f"/documents/{document}/versions/1",
        "/workflows/report",
        f"/telemetry/executions/{execution.id}/costs",
        f"/files/{ada.upload(b'Lend 400 tools.').json()['id']}",
    ]


@pytest.mark.parametrize("value", ["{etag}", "W/{etag}", '"x", {etag}', "*", '{etag} , W/"y"'])
def test_what_the_client_has_is_not_sent_again(ada: Caller, report: int, value: str) -> None:
    for path in paths(ada):
        etag = ada.get(path).headers["ETag"]
        response = ada.get(path, If_None_Match=value.format(etag=etag))
        assert {each.strip() for each in response.headers["Vary"].split(",")} >= {"Accept", "Authorization", "Cookie"}
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", etag), path
        assert "Content-Type" not in response.headers


@pytest.mark.parametrize("value", ['"1"', '"x"', 'W/"1.0"', '"*"'])
def test_what_the_client_does_not_have_is_sent(ada: Caller, report: int, value: str) -> None:
    for path in paths(ada):
        response = ada.get(path, If_None_Match=value)
        assert response.status_code == 200, path
        assert response.json()


def test_an_answer_that_changes_gets_another_tag_though_its_version_stays(ada: Caller, report: int) -> None:
    _, path, *_ = paths(ada)
    before = ada.get(path)
    Document.objects.update(updated_at=datetime(2030, 1, 1, tzinfo=UTC))
    after = ada.get(path, If_None_Match=before.headers["ETag"])
    assert (after.status_code, after.json()["version"]) == (200, before.json()["version"])
    assert after.headers["ETag"] != before.headers["ETag"]


def test_a_change_answers_with_the_tag_that_reading_gives(ada: Caller, waiting: Execution) -> None:
    changed = ada.post(f"/executions/{waiting.id}/cancel")
    assert ada.get(f"/executions/{waiting.id}").headers["ETag"] == changed.headers["ETag"]
