"""The OpenAPI document is built once, and not sent to a client that has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client, override_settings
from drf_spectacular.generators import SchemaGenerator

from orchestrator.openapi.view import openapi_document

PATH = "/api/v1/openapi.json"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Return a list that grows each time that the library makes a document."""
    times: list[object] = []
    make = SchemaGenerator.get_schema

    def counted(self: SchemaGenerator, *given: Any, **named: Any) -> Any:
        times.append(self)
        return make(self, *given, **named)

    monkeypatch.setattr(SchemaGenerator, "get_schema", counted)
    openapi_document.cache_clear()
    yield times
    openapi_document.cache_clear()


def test_twenty_requests_at_once_have_it_made_once(made: list[object]) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: Client().get(PATH), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(made) == 1


@pytest.mark.parametrize("query", ["", "?lang=de", "?version=2", "?format=yaml", "?x=1"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/vnd.oai.openapi+json", "text/html"])
def test_no_query_and_no_header_has_it_made_again(made: list[object], query: str, accept: str) -> None:
    Client().get(PATH)
    response = Client().get(PATH + query, headers={"Accept": accept})
    assert response.status_code == 200
    assert json.loads(response.content)["openapi"].startswith("3.1.")
    assert len(made) == 1


def test_other_addresses_in_force_do_not_change_it() -> None:
    openapi_document.cache_clear()
    with override_settings(ROOT_URLCONF="tests.integration.web.urls"):
        other = openapi_document()
    openapi_document.cache_clear()
    assert openapi_document() == other
    assert b"/api/v1/executions" in other.body


def test_a_client_that_has_it_is_not_sent_it_again() -> None:
    first = Client().get(PATH)
    tag = first.headers["ETag"]
    assert "no-cache" in first.headers["Cache-Control"]  # kept, and asked about each time
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = Client().get(PATH, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag), known
    changed = Client().get(PATH, headers={"If-None-Match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


def test_head_is_answered_and_other_methods_are_refused() -> None:
    head = Client().head(PATH)
    assert (head.status_code, head.content) == (200, b"")
    for method in ("post", "put", "patch", "delete", "options"):
        response = getattr(Client(), method)(PATH)
        assert response.status_code == 405, method
        assert response.headers["Allow"] == "GET, HEAD"
        assert response.json()["code"] == "method-not-allowed"
