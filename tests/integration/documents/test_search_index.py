"""The text index: workers fill it, and a search finds what it does not have yet."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from rest_framework.test import APIClient

from access.user import User
from documents.models import Document
from documents.search import index
from documents.search.texts import MAX_BYTES, texts_of
from orchestrator.checks import search_language
from tests.factories.documents import scope_of, store
from tests.support.two_connections import elsewhere

pytestmark = pytest.mark.django_db

Api = Callable[..., APIClient]


def found(api: Api, user: User, q: str) -> list[str]:
    response = api(user).get("/api/v1/documents/", {"q": q})
    assert response.status_code == 200, response.content
    return sorted(row["title"] for row in response.json()["data"])


def words(document_id: UUID) -> str | None:
    row: str | None = Document.objects.values_list("search", flat=True).get(id=document_id)
    return row


def test_a_document_is_found_before_and_after_it_is_indexed(api: Api, alice: User) -> None:
    made = store(scope_of(alice), content={"title": "Tools", "list": ["hammer", 4200]})
    assert words(made) is None
    assert (found(api, alice, "hammer"), found(api, alice, "4200")) == (["The plan"], ["The plan"])
    assert index.index_documents() == 1
    assert "'plan':2A" in str(words(made)), "the title counts more"
    assert (found(api, alice, "hammer"), found(api, alice, "4200")) == (["The plan"], ["The plan"])
    assert found(api, alice, "list") == [], "a name of a field"
    assert index.index_documents() == 0


def test_a_new_version_is_indexed_again(api: Api, alice: User) -> None:
    scope = scope_of(alice)
    made = store(scope, title="Hammers")
    index.index_documents()
    store(scope, version=2, title="Saws")
    assert words(made) is None
    assert (found(api, alice, "hammers"), found(api, alice, "saws")) == ([], ["Saws"])
    index.index_documents()
    assert (found(api, alice, "hammers"), found(api, alice, "saws")) == ([], ["Saws"])


def test_no_phrase_spans_two_texts(api: Api, alice: User) -> None:
    store(scope_of(alice), title="Tools", content={"a": "first saw", "b": "second hammer"})
    for _ in range(2):
        assert (found(api, alice, '"first saw"'), found(api, alice, '"saw second"')) == (["Tools"], [])
        index.index_documents()


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"a{number:x}-b{number:x}" for number in range(60_000)),
        " ".join(f"{number:x}.ab/{number:x}" for number in range(60_000)),
        " ".join(f"{number:x}" for number in range(60_000)),
        "Größe" * 100_000,
        "東京 " * 100_000,
        "\x00a\ud800b \ue000",
        "",
    ],
    ids=["hyphens", "addresses", "numbers", "long", "three bytes", "unstorable", "empty"],
)
def test_any_text_can_be_stored_indexed_and_searched(api: Api, alice: User, text: str) -> None:
    made = store(scope_of(alice), title="Any text", content={"title": "begin", "text": text, "end": "afterwards"})
    assert found(api, alice, "begin") == ["Any text"]
    assert index.index_documents() == 1
    assert words(made), "it has words, so no error has emptied them"
    assert found(api, alice, "begin") == ["Any text"]


def test_only_the_first_texts_of_a_long_document_are_indexed(api: Api, alice: User) -> None:
    filler = "word " * (MAX_BYTES // 5 - 10)
    store(scope_of(alice), content={"title": "begin", "filler": filler, "late": "inside", "end": ["x" * 50, "outside"]})
    assert sum(len(each.encode()) for each in texts_of({"a": filler, "b": "x" * 60})) == MAX_BYTES
    for _ in range(2):
        assert (found(api, alice, "inside"), found(api, alice, "outside")) == (["The plan"], [])
        index.index_documents()


def test_a_text_that_the_database_refuses_stops_no_other(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scope = scope_of(alice)
    refused = store(scope, type="long", content={"text": " ".join(f"a{n:x}-b{n:x}" for n in range(300_000))})
    other = store(scope, title="Other")
    monkeypatch.setattr("documents.search.texts.MAX_BYTES", 10_000_000)
    with caplog.at_level(logging.ERROR):
        assert index.index_documents() == 2
    assert str(refused) in caplog.text
    assert (words(refused), found(api, alice, "other")) == ("", ["Other"])
    assert words(other)


@pytest.mark.django_db(transaction=True)
def test_a_document_that_is_being_written_is_left_for_later(alice: User) -> None:
    scope = scope_of(alice)
    locked, free = store(scope, type="locked"), store(scope, type="free")
    with transaction.atomic():
        Document.objects.select_for_update().get(id=locked)
        assert elsewhere(index.index_documents) == 1
    assert (words(locked), bool(words(free))) == (None, True)
    assert (index.index_documents(), bool(words(locked))) == (1, True)


def test_another_language_is_known_after_reindexing(api: Api, alice: User, settings: Any) -> None:
    store(scope_of(alice), title="Libraries")
    index.index_documents()
    assert found(api, alice, "library") == []
    settings.SEARCH_LANGUAGE = "english"
    output = io.StringIO()
    call_command("reindex_documents", stdout=output)
    assert output.getvalue().splitlines() == ["1 documents indexed", "The text index is in the language english."]
    assert found(api, alice, "library") == ["Libraries"]
    output = io.StringIO()
    call_command("reindex_documents", stdout=output)
    assert output.getvalue().splitlines() == ["The text index is in the language english."], "nothing is left to do"


def test_an_unknown_language_is_named_with_those_that_exist(settings: Any) -> None:
    settings.SEARCH_LANGUAGE = "klingon"
    [message] = search_language(databases=["default"])
    assert message.id == "orchestrator.E005"
    assert message.msg.startswith("SEARCH_LANGUAGE=klingon is no text search configuration. There are: ")
    assert "german" in message.msg
    with pytest.raises(CommandError, match="klingon"):
        call_command("reindex_documents")
    assert search_language(databases=None) == []
