"""The OpenAPI document has the names of the specification, and the responses of each path."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, as everybody gets it."""
    found: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return found


@pytest.mark.parametrize(
    "name",
    [
        "StartExecutionRequest",
        "ExecutionResponse",
        "StepStatusResponse",
        "ClarificationAnswers",
        "ExecutionCosts",
        "StepCost",
    ],
)
def test_a_component_has_the_name_of_the_specification(document: dict[str, Any], name: str) -> None:
    assert name in document["components"]["schemas"]


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/executions", "post", {"201", "400", "401", "403", "404", "413", "415", "422"}),
        ("/executions", "get", {"200", "401", "422"}),
        ("/executions/{execution_id}", "get", {"200", "401", "404"}),
        ("/executions/{execution_id}/steps", "get", {"200", "401", "404"}),
        ("/executions/{execution_id}/events", "get", {"200", "401", "404", "422"}),
        ("/executions/{execution_id}/stream", "get", {"200", "204", "400", "401", "404", "422", "429"}),
        ("/executions/{execution_id}/stream-tickets", "post", {"201", "400", "401", "403", "404", "413", "415", "422"}),
        (
            "/executions/{execution_id}/steps/{step_id}/clarification",
            "post",
            {"200", "401", "403", "404", "409", "412", "422"},
        ),
        ("/clarifications", "get", {"200", "401", "422"}),
        ("/executions/{execution_id}/cancel", "post", {"200", "401", "403", "404", "409", "412", "422"}),
        ("/telemetry/executions/{execution_id}/costs", "get", {"200", "401", "404"}),
        ("/telemetry/workflows/{workflow_id}/stats", "get", {"200", "401", "404"}),
    ],
)
def test_a_path_says_what_it_answers(document: dict[str, Any], path: str, method: str, statuses: set[str]) -> None:
    responses = document["paths"][f"/api/v1{path}"][method]["responses"]
    assert statuses <= responses.keys()
    for status, response in responses.items():
        if status >= "400":
            assert list(response["content"]) == ["application/problem+json"]
