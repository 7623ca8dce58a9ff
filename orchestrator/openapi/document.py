"""What the generated OpenAPI document cannot know by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.limits import MAX_ERRORS
from executions.engine.domain.events import DELTA, EventType
from orchestrator.problems import MAX_CHARACTERS

Endpoint = tuple[str, str, str, Callable[..., Any]]

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details; some have more to tell, such as `current` and `wanted` of a status.",
    "additionalProperties": True,
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "error_count", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable; made for programs."},
        "errors": {
            "type": "array",
            "maxItems": MAX_ERRORS,
            "description": "What is wrong with the request, in order; the first ones where there are more.",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 pointer to the value."},
                    "code": {"type": "string"},
                    "detail": {"type": "string", "description": f"At most {MAX_CHARACTERS} characters."},
                },
            },
        },
        "error_count": {
            "type": "integer",
            "minimum": 0,
            "description": f"How many errors there are; `errors` has at most {MAX_ERRORS} of them.",
        },
        "request_id": {"type": "string"},
    },
}
_STREAM_PATH = "/api/v1/executions/{execution_id}/stream"
_FEED_PATH = "/api/v1/scopes/{scope_type}/{scope_id}/stream"
_FEED = (
    "All executions of the scope in one stream, numbered together: the ids of the messages are numbers of this feed, "
    "`sequence` stays that of the execution. It begins with what happens from now on, or after the given position (0: "
    "with the oldest that is kept), and has no end: reconnect with the last id. The text of steps is not part of it."
)
_STREAM = (
    "The first message is `stream-reset` where events after the given position were pruned; its data has the `oldest` "
    "sequence that is kept. The stream also ends at a maximum age, and when the caller may not see the execution any "
    "more: reconnect with the last id, until the answer is 204 or an error."
)
_POSITION = {"type": "string", "pattern": "^(|(.*:)?[0-9]{1,18})$"}
_SECURITY: list[dict[str, list[str]]] = [{"bearerAuth": []}, {"cookieAuth": []}, {"ticketAuth": []}]
_POSITIONS = (
    ("Last-Event-ID", "header", "Id of the last event that the client has; it wins over the query."),
    ("last_event_id", "query", "The same, for a client that sends no headers; `lastEventId` is understood too."),
)
_RETRY_AFTER = {"description": "Seconds.", "schema": {"type": "integer"}}
_TICKET = {
    "type": "apiKey",
    "in": "query",
    "name": "ticket",
    "description": "From `stream-tickets`; opens the one stream that it was made for.",
}


def strip_optional_slashes(endpoints: list[Endpoint], **_: object) -> list[Endpoint]:
    """Show each path once, without the slash that it may also end in."""
    return [(path.replace("/?", "").rstrip("/") or "/", *rest) for path, *rest in endpoints]  # type: ignore[misc]


def add_stream(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add the streams, which Django does not serve, and the problem that every path may answer with."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components.setdefault("securitySchemes", {})["ticketAuth"] = _TICKET
    result["paths"][_STREAM_PATH] = {"get": _stream_operation()}
    result["paths"][_FEED_PATH] = {"get": _feed_operation()}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("default", _problem("An error."))
    return result


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


def _stream_operation() -> dict[str, Any]:
    identity = {"name": "execution_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    return {
        "operationId": "executions_stream",
        "summary": "Follow an execution: its events so far, then live",
        "description": _STREAM,
        "tags": ["executions"],
        "security": _SECURITY,
        "parameters": [identity, *_asked([*EventType, DELTA])],
        "responses": {
            **_answers(thing="execution", ends="ends after the last event of an execution that has ended"),
            "204": {"description": "Nothing more will come."},
        },
    }


def _feed_operation() -> dict[str, Any]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("scope_type", "scope_id")
    ]
    return {
        "operationId": "scopes_stream",
        "summary": "Follow a scope: everything that happens in it, over one connection",
        "description": _FEED,
        "tags": ["scopes"],
        "security": _SECURITY,
        "parameters": [*named, *_asked([*EventType])],
        "responses": _answers(thing="scope", ends="does not end by itself"),
    }


def _asked(types: list[str]) -> list[dict[str, Any]]:
    wanted = {
        "name": "types",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "description": "Only these; `complete` ends the stream of an execution all the same.",
        "schema": {"type": "array", "items": {"type": "string", "enum": types}},
    }
    return [
        *(
            {"name": name, "in": place, "required": False, "description": said, "schema": _POSITION}
            for name, place, said in _POSITIONS
        ),
        wanted,
    ]


def _answers(*, thing: str, ends: str) -> dict[str, Any]:
    return {
        "200": {
            "description": f"Server-Sent Events; {ends}.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        "400": _problem("The position is none of this log."),
        "401": _problem(
            "Authentication credentials were not provided, or the token or ticket is wrong, expired or revoked."
        ),
        "404": _problem(f"There is no such {thing}, or none that the caller may see."),
        "422": _problem("There are no such types of events; `errors` says which."),
        "429": {**_problem("The caller has too many streams open."), "headers": {"Retry-After": _RETRY_AFTER}},
        "503": _problem("The database is away."),
    }
