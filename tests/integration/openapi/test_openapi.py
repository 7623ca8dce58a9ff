"""The OpenAPI document and its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    body: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return body


def test_the_document_is_valid_and_complete(tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")


def test_no_path_shows_its_optional_slash(document: dict[str, Any]) -> None:
    assert "/api/v1/executions" in document["paths"]
    assert not [path for path in document["paths"] if "?" in path or path.endswith("/")]


def test_the_stream_is_in_it(document: dict[str, Any]) -> None:
    stream = document["paths"]["/api/v1/executions/{execution_id}/stream"]["get"]
    assert set(stream["responses"]) >= {"200", "204", "400", "401", "404", "422", "429", "503"}
    assert "text/event-stream" in stream["responses"]["200"]["content"]
    names = {each["name"] for each in stream["parameters"]}
    assert names == {"execution_id", "Last-Event-ID", "last_event_id", "types"}
    assert {"ticketAuth": []} in stream["security"]
    assert document["components"]["securitySchemes"]["ticketAuth"]["name"] == "ticket"


def test_every_operation_names_the_problem_that_it_may_answer_with(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            problems = [
                response
                for response in operation["responses"].values()
                if "application/problem+json" in response.get("content", {})
            ]
            assert problems, f"{method} {path}"


def test_every_list_is_a_page(document: dict[str, Any]) -> None:
    schema = document["paths"]["/api/v1/executions"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    page = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    assert set(page["required"]) == {"data", "next_cursor"}


@pytest.mark.parametrize("path", ["/api/v1/docs", "/api/v1/docs/"])
def test_the_page_is_public_and_loads_nothing_from_elsewhere(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 200
    page = response.content.decode()
    assert "swagger-ui" in page
    assert "http://" not in page
    assert "https://" not in page


def test_its_assets_are_served_here() -> None:
    response = Client().get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["docs", "docs/", "openapi.json"])
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE", "PUT", "TRACE"])
def test_the_documentation_is_read_alone(path: str, method: str) -> None:
    client = Client(raise_request_exception=False)
    assert client.generic(method, f"/api/v1/{path}").status_code == 405
