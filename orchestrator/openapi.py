"""What the generated OpenAPI document cannot know by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Endpoint = tuple[str, str, str, Callable[..., Any]]

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable; made for programs."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 pointer to the value."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}
_STREAM_PATH = "/api/v1/executions/{execution_id}/stream"


def strip_optional_slashes(endpoints: list[Endpoint], **_: object) -> list[Endpoint]:
    """Show each path once, without the slash that it may also end in."""
    return [(path.replace("/?", "").rstrip("/") or "/", *rest) for path, *rest in endpoints]  # type: ignore[misc]


def add_stream(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add the stream, which Django does not serve, and the problem that every path may answer with."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("default", _problem("An error."))
    result["paths"][_STREAM_PATH] = {"get": _stream_operation()}
    return result


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


def _stream_operation() -> dict[str, Any]:
    position = {"type": "string", "description": "Sequence of the last event that the client has."}
    names = (("Last-Event-ID", "header"), ("last_event_id", "query"), ("lastEventId", "query"))
    identity = {"name": "execution_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    return {
        "operationId": "executions_stream",
        "summary": "Follow an execution: its events from the start or after the last one seen, then live",
        "tags": ["executions"],
        "security": [{"bearerAuth": []}, {"cookieAuth": []}],
        "parameters": [
            identity,
            *({"name": name, "in": place, "required": False, "schema": position} for name, place in names),
        ],
        "responses": {
            "200": {
                "description": "Server-Sent Events; ends after the last event of an execution that has ended.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            "204": {"description": "Nothing more will come."},
            "400": _problem("The position is none of this log."),
            "401": _problem("Nobody said who asks."),
            "404": _problem("There is no such execution, or none that the caller may see."),
        },
    }
