"""Comments on passages of documents over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from access.permissions import Role
from documents import comments
from documents.models import DocumentComment, DocumentVersion
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db

TEXT = "We lend tools in three branches. Each branch has one clerk. Each branch has one van."
CONTENT = {"title": "A note", "text": TEXT, "parts": [{"id": "a", "goal": "Lend many tools"}, {"id": "b", "goal": "-"}]}
NOTE = {"scope_type": "project", "scope_id": "alpha", "type": "note", "content": CONTENT}


@pytest.fixture
def path(ada: Caller) -> str:
    """The path of a document of Ada's."""
    response = ada.post("/documents/", NOTE)
    assert response.status_code == 201, response.content
    return f"/documents/{response.json()['id']}"


def say(caller: Caller, path: str, quote: str = "three branches", pointer: str = "/text", **more: Any) -> Any:
    return caller.post(f"{path}/comments", {"pointer": pointer, "quote": quote, "text": "Are you sure?", **more})


def edit(caller: Caller, path: str, version: int, **changes: Any) -> None:
    response = caller.put(path, {"content": {**CONTENT, **changes}}, If_Match=f'"{version}"')
    assert response.status_code == 200, response.content


def listed(caller: Caller, path: str, **query: Any) -> list[dict[str, Any]]:
    response = caller.get(f"{path}/comments", query)
    assert response.status_code == 200, response.content
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def test_a_comment_is_about_a_passage(ada: Caller, path: str) -> None:
    response = say(ada, path)
    assert response.status_code == 201, response.content
    made = response.json()
    assert (made["number"], made["version"], made["document_version"]) == (1, 1, 1)
    assert (made["pointer"], made["quote"], made["text"], made["author"]) == (
        "/text",
        "three branches",
        "Are you sure?",
        "ada",
    )
    assert (made["prefix"], made["suffix"][:6]) == ("We lend tools in ", ". Each")
    assert made["location"] == {"pointer": "/text", "found": "same", "quote": "three branches", "start": 17, "end": 31}
    assert (made["lost"], made["resolved_at"], made["resolved_by"]) == (False, None, None)
    assert listed(ada, path) == [made]
    assert say(ada, path, "").json()["number"] == 2


def test_a_start_tells_equal_quotes_apart(ada: Caller, path: str) -> None:
    made = say(ada, path, "Each branch has one", start=60).json()
    assert made["location"]["start"] == TEXT.rindex("Each")


def test_a_quote_can_be_next_to_a_character_that_is_not_stored(ada: Caller, path: str) -> None:
    text = "Before \ud800 we lend tools in three branches. \0 After \udfff."
    DocumentVersion.objects.update(content={**CONTENT, "text": text})
    response = say(ada, path)
    assert response.status_code == 201, response.content
    made = response.json()
    assert (made["prefix"], made["suffix"]) == (" we lend tools in ", ". ")
    assert made["location"]["start"] == text.index("three")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"pointer": "/none", "quote": ""}, "/pointer"),
        ({"quote": "four branches"}, "/quote"),
        ({"pointer": "/parts", "quote": "x"}, "/quote"),
        ({"pointer": "no pointer"}, "/pointer"),
        ({"text": " "}, "/text"),
        ({"start": -1}, "/start"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_is_no_passage_is_named(ada: Caller, path: str, changes: dict[str, Any], pointer: str) -> None:
    response = ada.post(f"{path}/comments", {"pointer": "/text", "quote": "clerk", "text": "Why?", **changes})
    assert (response.status_code, pointers(response)) == (422, {pointer})
    assert not DocumentComment.objects.exists()


def test_a_comment_may_be_about_an_earlier_version(ada: Caller, path: str) -> None:
    edit(ada, path, 1, text="Nothing is left.")
    assert say(ada, path).status_code == 422
    made = say(ada, path, document_version=1).json()
    assert (made["document_version"], made["location"], made["lost"]) == (1, None, True)
    assert say(ada, path, document_version=9).status_code == 404


def test_a_comment_follows_its_text_until_it_is_lost(ada: Caller, path: str) -> None:
    say(ada, path)
    say(ada, path, "many tools", "/parts/0/goal")
    say(ada, path, "Each branch has one clerk")
    edit(ada, path, 1, text="Now: " + TEXT.replace("one clerk", "two clerks"), parts=CONTENT["parts"][::-1])
    first, second, third = (each["location"] for each in listed(ada, path))
    assert (first["found"], first["start"]) == ("same", 22)
    assert (second["found"], second["pointer"]) == ("moved", "/parts/1/goal")
    assert (third["found"], third["quote"]) == ("edited", "Each branch has two clerks")
    edit(ada, path, 2, text="Nothing is left.", parts=[])
    assert [(each["location"], each["lost"]) for each in listed(ada, path)] == [(None, True)] * 3
    edit(ada, path, 3)
    assert [each["lost"] for each in listed(ada, path)] == [False] * 3


def test_a_text_without_a_schema_has_comments_too(ada: Caller) -> None:
    made = ada.post("/documents/", {**NOTE, "type": "minutes", "content": TEXT, "title": "Minutes"}).json()
    response = say(ada, f"/documents/{made['id']}", pointer="")
    assert response.json()["location"]["start"] == 17


def test_a_comment_is_resolved_and_opened_again(ada: Caller, eve: Caller, path: str) -> None:
    say(ada, path)
    grant(eve.user, "alpha", Role.REVIEWER)
    done = eve.patch(f"{path}/comments/1", {"resolved": True})
    assert done.status_code == 200, done.content
    assert (done.json()["version"], done.json()["resolved_by"], done.json()["lost"]) == (2, "eve", None)
    assert done.headers["ETag"].startswith('"2.')
    assert eve.patch(f"{path}/comments/1", {"resolved": True}).json()["version"] == 2
    assert [each["number"] for each in listed(ada, path, resolved=True)] == [1]
    assert listed(ada, path, resolved=False) == []
    again = ada.patch(f"{path}/comments/1", {"resolved": False}, If_Match=done.headers["ETag"]).json()
    assert (again["version"], again["resolved_at"], again["resolved_by"], again["lost"]) == (3, None, None, False)


def test_an_old_version_of_a_comment_is_refused(ada: Caller, path: str) -> None:
    say(ada, path)
    for body, headers, status in (
        ({"resolved": True, "version": 2}, {}, 409),
        ({"resolved": True}, {"If_Match": '"2"'}, 412),
        ({"resolved": True}, {"If_Match": "one"}, 400),
    ):
        response = ada.patch(f"{path}/comments/1", body, **headers)
        assert response.status_code == status, response.content
    assert ada.patch(f"{path}/comments/1", {"resolved": True, "version": 1}, If_Match='"1"').status_code == 200
    assert ada.patch(f"{path}/comments/2", {"resolved": True}).status_code == 404
    assert ada.patch(f"{path}/comments/1", []).status_code == 422
    patch = "application/json-patch+json"
    assert ada.patch(f"{path}/comments/1", "[]", content_type=patch).status_code == 415


def test_viewers_read_and_reviewers_write(ada: Caller, eve: Caller, path: str) -> None:
    say(ada, path)
    assert eve.get(f"{path}/comments").status_code == 404
    assert say(eve, path).status_code == 404
    assert eve.patch(f"{path}/comments/1", {"resolved": True}).status_code == 404
    grant(eve.user, "alpha", Role.VIEWER)
    assert len(listed(eve, path)) == 1
    assert say(eve, path).status_code == 403
    assert eve.patch(f"{path}/comments/1", {"resolved": True}).status_code == 403


def test_a_comment_is_stored_once_with_a_key(ada: Caller, path: str) -> None:
    body = {"pointer": "/text", "text": "Why?"}
    first = ada.post(f"{path}/comments", body, Idempotency_Key="k")
    again = ada.post(f"{path}/comments", body, Idempotency_Key="k")
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert DocumentComment.objects.count() == 1


def test_the_list_has_pages(ada: Caller, path: str) -> None:
    for _ in range(3):
        say(ada, path)
    page = ada.get(f"{path}/comments", {"limit": 2}).json()
    assert [each["number"] for each in page["data"]] == [1, 2]
    assert [each["number"] for each in listed(ada, path, cursor=page["next_cursor"])] == [3]


def test_a_page_looks_for_a_bounded_number(ada: Caller, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(1, 4):
        say(ada, path)
        edit(ada, path, version, title=f"Title {version}")
    say(ada, path)
    monkeypatch.setattr(comments, "MAX_COMPARED_VERSIONS", 2)
    assert [each["lost"] for each in listed(ada, path)] == [False, False, None, None]
    monkeypatch.setattr(comments, "MAX_LOCATED", 1)
    assert [each["lost"] for each in listed(ada, path)] == [False, None, None, None]
    monkeypatch.setattr(comments, "MAX_SECONDS", -1)
    assert [each["lost"] for each in listed(ada, path)] == [None] * 4


def test_a_document_has_a_bounded_number(ada: Caller, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "MAX_COMMENTS", 1)
    assert say(ada, path).status_code == 201
    refused = say(ada, path)
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-comments")
