"""The difference of two versions of a document over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from access.permissions import Role
from documents.models import Document, DocumentVersion
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db

NOTE = {"scope_type": "project", "scope_id": "alpha", "type": "note"}
POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"


@pytest.fixture
def document_id(ada: Caller) -> str:
    """A document of Ada's with three versions."""
    one = {"title": "A note", "text": "Ten tools.", "items": [{"id": "a"}, {"id": "b"}]}
    made = ada.post("/documents/", {**NOTE, "content": one})
    two = {**one, "text": "Ten old tools.", "items": [{"id": "b"}, {"id": "a"}]}
    three = {**two, "text": "Ten <b>new</b> tools.", "more": None}
    for version, content in enumerate((two, three), 1):
        path = f"/documents/{made.json()['id']}"
        assert ada.put(path, {"content": content}, If_Match=f'"{version}"').status_code == 200
    return str(made.json()["id"])


def diff(caller: Caller, document_id: str, **query: Any) -> dict[str, Any]:
    response = caller.get(f"/documents/{document_id}/diff", query)
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def test_the_newest_version_is_compared_with_the_one_before(ada: Caller, document_id: str) -> None:
    found = diff(ada, document_id)
    assert (found["document_id"], found["from"]["version"], found["to"]["version"]) == (document_id, 2, 3)
    assert found["to"]["author"] == "ada"
    assert found["counts"] == {"added": 1, "removed": 0, "changed": 1, "moved": 0}
    by_pointer = {each["pointer"]: each for each in found["changes"]}
    added = by_pointer["/more"]
    assert (added["kind"], added["after"], "before" in added) == ("added", None, False)
    changed = by_pointer["/text"]
    assert (changed["kind"], changed["before"], changed["after"]) == (
        "changed",
        "Ten old tools.",
        "Ten <b>new</b> tools.",
    )
    assert "".join(run["text"] for run in changed["words"] if run["op"] != "delete") == changed["after"]
    assert changed["labels"] == ["Text"]


def test_any_two_versions_are_compared_in_any_order(ada: Caller, document_id: str) -> None:
    assert diff(ada, document_id, to=2)["from"]["version"] == 1
    assert [diff(ada, document_id, **{"from": 1})[name]["version"] for name in ("from", "to")] == [1, 3]
    moved = next(each for each in diff(ada, document_id, to=2)["changes"] if each["kind"] == "moved")
    assert {moved["index_before"], moved["index"]} == {0, 1}
    back = diff(ada, document_id, **{"from": 3, "to": 1})
    assert [each["pointer_before"] for each in back["changes"] if each["kind"] == "removed"] == ["/more"]
    assert diff(ada, document_id, **{"from": 2, "to": 2})["changes"] == []


def test_a_first_version_is_all_new(ada: Caller, document_id: str) -> None:
    found = diff(ada, document_id, to=1)
    assert (found["from"], found["counts"]["added"], found["changes"][0]["pointer"]) == (None, 1, "")


def test_a_proposed_version_counts_when_it_is_named(ada: Caller, document_id: str) -> None:
    DocumentVersion.objects.filter(document_id=document_id, version=3).update(proposed=True)
    Document.objects.filter(id=document_id).update(version=2)
    assert [diff(ada, document_id)[name]["version"] for name in ("from", "to")] == [1, 2]
    assert [diff(ada, document_id, to=3)[name]["version"] for name in ("from", "to")] == [2, 3]


@pytest.mark.parametrize("query", [{"from": 9}, {"to": 4}, {"from": 9, "to": 1}])
def test_an_unknown_version_is_not_found(ada: Caller, document_id: str, query: dict[str, int]) -> None:
    assert ada.get(f"/documents/{document_id}/diff", query).status_code == 404


@pytest.mark.parametrize("query", [{"from": 0}, {"to": "x"}, {"to": 2**40}, {"limit": 3}])
def test_a_query_is_checked(ada: Caller, document_id: str, query: dict[str, Any]) -> None:
    response = ada.get(f"/documents/{document_id}/diff", query)
    assert (response.status_code, pointers(response)) == (422, {f"/{next(iter(query))}"})


def test_only_readers_see_it(ada: Caller, eve: Caller, document_id: str) -> None:
    assert eve.get(f"/documents/{document_id}/diff").status_code == 404
    grant(eve.user, "alpha", Role.VIEWER)
    assert eve.get(f"/documents/{document_id}/diff").status_code == 200


def test_the_page_runs_nothing(ada: Caller, document_id: str) -> None:
    for response in (
        ada.get(f"/documents/{document_id}/diff", {"format": "html"}),
        ada.get(f"/documents/{document_id}/diff", Accept="text/html"),
    ):
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Content-Security-Policy"] == POLICY
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        page = response.content.decode()
        assert "2 changes: 1 added, 1 changed." in page
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert page.startswith("<!doctype html>")


def test_a_problem_of_the_page_is_json(ada: Caller, document_id: str) -> None:
    response = ada.get(f"/documents/{document_id}/diff", {"format": "html", "from": 9})
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_what_the_client_has_is_not_sent_again(ada: Caller, document_id: str, accept: str) -> None:
    path = f"/documents/{document_id}/diff"
    first = ada.get(path, Accept=accept)
    again = ada.get(path, Accept=accept, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert "Accept" in first.headers["Vary"]
    other = ada.get(path, {"from": 1}, Accept=accept, If_None_Match=first.headers["ETag"])
    assert other.status_code == 200
