"""What a search returns: the newest matches, the best first, each with a passage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from access.user import User
from documents.search import index, ranking, snippets
from tests.factories.documents import NOW, scope_of, store

pytestmark = pytest.mark.django_db

Api = Callable[..., APIClient]
PATH = "/api/v1/documents/"


@pytest.fixture(params=["indexed", "not indexed"])
def finish(request: pytest.FixtureRequest) -> Callable[[], object]:
    """What a worker does after documents were stored, or nothing."""
    return index.index_documents if request.param == "indexed" else lambda: None


def search(client: APIClient, q: str, **query: Any) -> Any:
    response = client.get(PATH, {"q": q, **query})
    assert response.status_code == 200, response.content
    return response.json()


def titles(page: Any) -> list[str]:
    return [row["title"] for row in page["data"]]


def snippet(page: Any) -> str:
    """Return the passage of the first match, with its words in brackets."""
    return "".join(f"[{run['text']}]" if run["match"] else run["text"] for run in page["data"][0]["snippet"])


def make(user: User, *texts: tuple[str, str]) -> None:
    """Store documents by title and text, the oldest first."""
    for number, (title, text) in enumerate(texts):
        moment = NOW + timedelta(minutes=number)
        store(scope_of(user), type=f"t{number}", title=title, content={"text": text}, created_at=moment)


def test_the_best_match_comes_first(api: Api, alice: User, finish: Callable[[], object]) -> None:
    make(alice, ("Hammers", "iron"), ("Twice", "hammers and hammers"), ("Once", "hammers"), ("Other", "saws"))
    finish()
    page = search(api(alice), "hammers")
    assert titles(page) == ["Hammers", "Twice", "Once"], "the title, then the number, although it is the oldest"
    assert page["truncated"] is False


def test_equal_matches_are_ordered_by_time(api: Api, alice: User, finish: Callable[[], object]) -> None:
    make(alice, *((str(number), "hammers") for number in range(5)))
    finish()
    assert titles(search(api(alice), "hammers")) == ["4", "3", "2", "1", "0"]


def test_only_the_newest_matches_are_ranked_and_the_answer_says_so(
    api: Api, alice: User, finish: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(alice, ("Hammers", "iron"), ("0", "hammers"), ("1", "hammers hammers"), ("2", "hammers"))
    finish()
    monkeypatch.setattr(ranking, "MAX_MATCHES", 3)
    page = search(api(alice), "hammers")
    assert (titles(page), page["truncated"]) == (["1", "2", "0"], True)
    monkeypatch.setattr(ranking, "MAX_MATCHES", 4)
    page = search(api(alice), "hammers")
    assert (titles(page), page["truncated"]) == (["Hammers", "1", "2", "0"], False)


def test_the_pages_of_a_search_hold_each_match_once(api: Api, alice: User, finish: Callable[[], object]) -> None:
    make(alice, *((str(number), "hammers " * (number % 3 + 1)) for number in range(8)))
    finish()
    client, seen = api(alice), []
    page = search(client, "hammers", limit=3)
    while True:
        seen += titles(page)
        if page["next_cursor"] is None:
            break
        page = search(client, "hammers", limit=3, cursor=page["next_cursor"])
    assert seen == titles(search(client, "hammers")) == ["5", "2", "7", "4", "1", "6", "3", "0"]


def test_a_cursor_belongs_to_its_kind_of_list(api: Api, alice: User) -> None:
    make(alice, ("0", "hammers"), ("1", "hammers"))
    client = api(alice)
    ranked = search(client, "hammers", limit=1)["next_cursor"]
    by_time = client.get(PATH, {"limit": 1}).json()["next_cursor"]
    assert client.get(PATH, {"cursor": ranked}).status_code == 422
    assert client.get(PATH, {"cursor": by_time, "q": "hammers"}).status_code == 422


def test_documents_that_wait_for_the_index_are_read_up_to_a_limit(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(alice, *((str(number), "hammers") for number in range(4)))
    monkeypatch.setattr(ranking, "NOT_INDEXED", 3)
    page = search(api(alice), "hammers")
    assert (len(titles(page)), page["truncated"]) == (4, True)
    monkeypatch.setattr(ranking, "NOT_INDEXED", 4)
    monkeypatch.setattr(ranking, "NOT_INDEXED_WALK", 2)
    page = search(api(alice), "hammers")
    assert (titles(page), page["truncated"]) == (["3", "2"], True)
    index.index_documents()
    page = search(api(alice), "hammers")
    assert (titles(page), page["truncated"]) == (["3", "2", "1", "0"], False)


def test_words_that_no_index_helps_with_are_sought_in_a_limited_number_of_documents(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(alice, *((str(number), "saws" if number < 3 else "hammers") for number in range(40)))
    index.index_documents()
    assert titles(search(api(alice), "-hammers")) == ["2", "1", "0"]
    monkeypatch.setattr(ranking, "SAMPLE", 4)
    monkeypatch.setattr(ranking, "MAX_COMPARED", 16)
    page = search(api(alice), "-hammers")
    assert (titles(page), page["truncated"]) == ([], True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE documents_document")
    page = search(api(alice), "saws")
    assert (titles(page), page["truncated"]) == (["2", "1", "0"], False), "the text index finds them"


@pytest.mark.parametrize(
    ("q", "text", "expected"),
    [
        ("hammers", "Iron hammers are heavy.", "Iron [hammers] are heavy."),
        ("HAMMERS heavy", "Iron hammers are heavy.", "Iron [hammers] are [heavy]."),
        ('"hammers are"', "Iron hammers are heavy.", "Iron [hammers] [are] heavy."),
        ("hammers -saws", "Iron hammers are heavy.", "Iron [hammers] are heavy."),
        ("hammers", "<script>hammers</script> & <b>", "<script>[hammers]</script> & <b>"),
        ("hammers", "a \ue000b\ue001 hammers", "a  b  [hammers]"),
        ("größe", "Die Größe zählt.", "Die [Größe] zählt."),
        ("plan", "Nothing here.", "The [plan]"),
    ],
)
def test_a_snippet_is_plain_text_with_the_words_marked(
    api: Api, alice: User, finish: Callable[[], object], q: str, text: str, expected: str
) -> None:
    store(scope_of(alice), content={"text": text})
    finish()
    assert snippet(search(api(alice), q)) == expected


def test_a_snippet_shows_the_words_wherever_they_stand(api: Api, alice: User) -> None:
    far = "filler words " * 5_000
    store(scope_of(alice), content={"a": far, "b": "iron once", "c": far, "d": "iron hammers", "e": far})
    shown = snippet(search(api(alice), "iron hammers"))
    assert "[iron] [hammers]" in shown, "where most words stand together"
    assert len(shown) < 500


def test_a_snippet_marks_other_forms_of_the_words(api: Api, alice: User, settings: Any) -> None:
    settings.SEARCH_LANGUAGE = "english"
    store(scope_of(alice), content={"text": "filler " * 1_000 + "It lends from two libraries."})
    assert "two [libraries]." in snippet(search(api(alice), "library"))


def test_a_page_of_large_documents_has_snippets_up_to_a_limit(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(alice, ("0", "hammers"), ("1", "hammers"))
    monkeypatch.setattr(snippets, "MAX_BYTES", 30)
    page = search(api(alice), "hammers")
    assert [row["snippet"] is None for row in page["data"]] == [False, True]


def test_a_list_without_a_search_has_no_snippets(api: Api, alice: User) -> None:
    make(alice, ("0", "hammers"))
    page = api(alice).get(PATH).json()
    assert (page["data"][0]["snippet"], "truncated" in page) == (None, False)
