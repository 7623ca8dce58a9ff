"""Documents as files over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def document_id(ada: Caller) -> str:
    """An accepted document of Ada's."""
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    path = f"/executions/{waiting.id}/steps/research/acceptance"
    assert ada.post(path, {"decision": "accept", "document_version": 1}).status_code == 200
    return str(waiting.steps["research"].document_id)


def read(caller: Caller, path: str, **headers: str) -> Any:
    response = caller.get(path, None, **headers)
    assert response.status_code == 200, response.content
    return response


@pytest.mark.parametrize(
    ("name", "media_type", "beginning"),
    [
        ("markdown", "text/markdown; charset=utf-8", b"# The findings"),
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK"),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
def test_a_version_is_a_file(ada: Caller, document_id: str, name: str, media_type: str, beginning: bytes) -> None:
    response = read(ada, f"/documents/{document_id}?format={name}")
    assert response.headers["Content-Type"] == media_type
    assert response.content.lower().startswith(beginning.lower())
    assert response.headers["Content-Disposition"].startswith('attachment; filename="findings-v1.')
    assert read(ada, f"/documents/{document_id}/versions/1", Accept=media_type).content == response.content


def test_a_footer_says_who_accepted(ada: Caller, document_id: str) -> None:
    text = read(ada, f"/documents/{document_id}?format=markdown").content.decode()
    assert "Version 1" in text
    assert "Accepted by ada" in text


def test_a_file_is_read_by_those_who_may(ada: Caller, eve: Caller, document_id: str) -> None:
    assert eve.get(f"/documents/{document_id}?format=pdf").status_code == 404
    for query in ("format=odt", "format=zip"):
        refused = ada.get(f"/documents/{document_id}?{query}")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["detail"].endswith("is not one of: json, markdown, html, docx, pdf.")
    unknown = ada.get(f"/documents/{document_id}?version=1")
    assert unknown.status_code == 422
    assert [(each["pointer"], each["code"]) for each in unknown.json()["errors"]] == [("/version", "unknown_field")]


def test_a_client_that_has_the_file_is_not_sent_it_again(ada: Caller, document_id: str) -> None:
    path = f"/documents/{document_id}?format=docx"
    tag = read(ada, path).headers["ETag"]
    assert ada.get(path, If_None_Match=tag).status_code == 304
