"""Scope keys and tags: names that look the same have one form, in paths, queries and bodies."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from access.models import Scope
from common.names import normalize_name
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers

pytestmark = pytest.mark.django_db

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"
HIDDEN = [
    "a\nb",
    "a\tb",
    "a\u0000b",
    "a\u007fb",
    "a\u0085b",
    "a\u200bb",
    "a\u200d",
    "\ufeffa",
    "a\u202eb",
    "a\u2066b",
    "a\u00adb",
    "a\u2028b",
    "a\u2060",
    "a\u3164",
    "a\ufe0f",
    "a\u034fb",
    "a\U000e0041",
    "\u200b",
]


def start(caller: Caller, key: str, **more: Any) -> Any:
    """Start an execution in a project."""
    return caller.post("/executions/", {**BODY, "scope_id": key, **more})


@pytest.mark.parametrize("name", HIDDEN, ids=ascii)
def test_a_name_with_a_hidden_character_is_refused(ada: Caller, report: int, name: str) -> None:
    assert pointers(start(ada, name)) == {"/scope_id"}
    assert not Scope.objects.exists()


@pytest.mark.parametrize("name", [HIDDEN[0], HIDDEN[-1]], ids=ascii)
def test_a_hidden_character_is_refused_wherever_a_name_stands(ada: Caller, report: int, name: str) -> None:
    assert pointers(start(ada, "alpha", tags=["a", name])) == {"/tags/1"}
    about = {"input": "A brief.", "scope_type": "project", "scope_id": name}
    assert pointers(ada.post("/workflows/report/estimate", about)) == {"/scope_id"}
    for path, field in (("executions", "tag"), ("executions", "scope_id"), ("documents", "scope_id")):
        assert pointers(ada.get(f"/{path}/", {field: name})) == {f"/{field}"}
    assert pointers(ada.get("/clarifications/", {"scope_id": name})) == {"/scope_id"}
    assert ada.post(f"/scopes/project/{quote(name)}/stream-tickets", {}).status_code == 404
    assert not Scope.objects.exists()


@pytest.mark.parametrize(
    "name", [COMPOSED, DECOMPOSED, f" {DECOMPOSED} ", f"\u3000{COMPOSED}\n", f"{DECOMPOSED}\u00a0"]
)
def test_names_that_look_the_same_are_the_same(ada: Caller, report: int, name: str) -> None:
    assert start(ada, name, tags=[name]).json()["scope_id"] == COMPOSED
    assert start(ada, COMPOSED).status_code == 201
    assert [scope.key for scope in Scope.objects.all()] == [COMPOSED]
    assert len(ada.get("/executions/", {"scope_id": name}).json()["data"]) == 2
    assert ada.get("/executions/", {"tag": name}).json()["data"][0]["tags"] == [COMPOSED]
    assert ada.post(f"/scopes/project/{quote(name)}/stream-tickets", {}).status_code == 201


@pytest.mark.parametrize("key", [".", "..", "a/..", "../a", "a/./b", " .. "])
def test_a_key_that_addresses_cannot_have_is_refused(ada: Caller, report: int, key: str) -> None:
    refused = start(ada, key)
    assert (refused.status_code, pointers(refused)) == (422, {"/scope_id"})
    assert not Scope.objects.exists()
    assert start(ada, "...a/b..c").status_code == 201


@pytest.mark.parametrize("key", ["a b", "日本語", "ÅÄÖ/2", "Straße", "مشروع", "नमस्ते", "a-1_2.x", "🙂"])
def test_a_name_in_any_script_is_taken(ada: Caller, report: int, key: str) -> None:
    assert start(ada, key, tags=[key]).json()["scope_id"] == normalize_name(key)
    assert ada.post(f"/scopes/project/{quote(key)}/stream-tickets", {}).status_code == 201
