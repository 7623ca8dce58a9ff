"""Full-text search over title and content of the newest version."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from access.user import User
from tests.factories.documents import scope_of, store

pytestmark = pytest.mark.django_db

CONTENT = {
    "title": "Lending tools",
    "audience": [{"name": "Neighbours", "share": 0.25, "members": 4200}],
    "text": "First paragraph.\nOpening hours matter.\n\nGröße und café, 東京",
    "quote": 'She said "enough" \\ and left',
}


def finds(api: Callable[..., APIClient], user: User, q: str) -> bool:
    response = api(user).get("/api/v1/documents/", {"q": q})
    assert response.status_code == 200, response.content
    return bool(response.json()["data"])


@pytest.mark.parametrize(
    "q",
    [
        "lending",
        "TOOLS",
        "neighbours",
        "opening",  # the first word of a line
        "größe",
        "café",
        "東京",
        "enough",
        "4200",
        "tools neighbours",
        '"opening hours"',
        "missing or hours",
        "hours -missing",
    ],
)
def test_words_of_title_and_content_are_found(api: Callable[..., APIClient], alice: User, q: str) -> None:
    store(scope_of(alice), title="Lending tools", content=CONTENT)
    assert finds(api, alice, q)


@pytest.mark.parametrize("q", ["missing", "tools missing", '"hours opening"', "tools -hours", "audience", "nopening"])
def test_other_words_and_names_of_fields_are_not(api: Callable[..., APIClient], alice: User, q: str) -> None:
    store(scope_of(alice), title="Lending tools", content=CONTENT)
    assert not finds(api, alice, q)


@pytest.mark.parametrize("q", ["&", "!!", "'", ":*", "a & | b", "\\", "<->", "%"])
def test_no_search_is_an_error(api: Callable[..., APIClient], alice: User, q: str) -> None:
    store(scope_of(alice), title="Lending tools", content=CONTENT)
    assert api(alice).get("/api/v1/documents/", {"q": q}).status_code == 200


def test_a_word_that_only_an_old_version_has_is_not_found(api: Callable[..., APIClient], alice: User) -> None:
    scope = scope_of(alice)
    store(scope, title="Lending tools")
    store(scope, version=2, title="Lending bicycles")
    assert (finds(api, alice, "tools"), finds(api, alice, "bicycles")) == (False, True)


@pytest.mark.parametrize(
    "q",
    [
        "-" * 33,
        "-" * 500,
        "- " * 200,
        "-(" * 200,
        "-\u00a0" * 200,
        "-!:-*" * 90,
        "lending " + "-" * 40,
        '-"' * 200,
        '-"a" ' * 90,
        "-a" * 200,
        "(" * 500,
        "((" * 100 + "a" + "))" * 100,
        '"' * 499,
        "or " * 150,
        "-or " * 120,
        "a or " * 100,
        "\\" * 500,
        "' & ! | <-> :* \\",
        "a:*" * 100,
    ],
    ids=lambda q: f"{q[:8]}… ({len(q)})",
)
def test_a_search_for_anything_is_answered(api: Callable[..., APIClient], alice: User, q: str) -> None:
    store(scope_of(alice), title="Lending tools", content=CONTENT)
    assert api(alice).get("/api/v1/documents/", {"q": q}).status_code == 200


@pytest.mark.parametrize("q", ["x" * 501, "-" * 501, "a\x00", " "])
def test_a_search_that_cannot_be_is_refused(api: Callable[..., APIClient], alice: User, q: str) -> None:
    assert api(alice).get("/api/v1/documents/", {"q": q}).status_code == 422


@pytest.mark.parametrize(
    ("q", "found"),
    [("lending -absent", True), ("lending -tools", False), ("lending --- tools", True), ("-tools", False)],
)
def test_a_minus_sign_leaves_a_word_out(api: Callable[..., APIClient], alice: User, q: str, found: bool) -> None:
    store(scope_of(alice), title="Lending tools", content=CONTENT)
    assert finds(api, alice, q) is found
