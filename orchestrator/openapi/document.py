"""Additions to the generated OpenAPI document: streams, tickets, and the schema of problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.limits import MAX_ERRORS
from executions.engine.domain.events import DELTA, EventType
from orchestrator.problems import MAX_CHARACTERS

Endpoint = tuple[str, str, str, Callable[..., Any]]

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details; some have more members, such as `current` and `wanted` of a status.",
    "additionalProperties": True,
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "error_count", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable identifier for programs."},
        "errors": {
            "type": "array",
            "maxItems": MAX_ERRORS,
            "description": "The first errors of the request, in order.",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 pointer to the value."},
                    "code": {"type": "string"},
                    "detail": {"type": "string", "description": f"At most {MAX_CHARACTERS} characters."},
                    "file": {"type": "string", "description": "Only of a definition: the file with the error."},
                    "line": {"type": "integer", "description": "Only of a definition: the line, from 1."},
                },
            },
        },
        "error_count": {
            "type": "integer",
            "minimum": 0,
            "description": f"Number of all errors; `errors` has at most {MAX_ERRORS}.",
        },
        "request_id": {"type": "string"},
    },
}
_STREAM_PATH = "/api/v1/executions/{execution_id}/stream"
_FEED_PATH = "/api/v1/scopes/{scope_type}/{scope_id}/stream"
_INBOX_PATH = "/api/v1/inbox/stream"
_INBOX = (
    "One message `inbox_counts` at once, and one whenever a count has changed. Messages have no ids: a client that "
    "reconnects gets the present counts. The stream does not end. There are no tickets for it."
)
_FEED = (
    "Events of all executions of the scope. Message ids number the events of this feed; `sequence` numbers the events "
    "of an execution. Without a position the stream starts with new events; 0 starts with the oldest stored event. It "
    "does not end: reconnect with the last id. It does not contain the live text of steps."
)
_STREAM = (
    "If events after the given position were pruned, the first message is `stream-reset`, with the `oldest` stored "
    "sequence. The stream also ends at a maximum age, and when the caller loses the permission: reconnect with the "
    "last id until the response is 204 or an error."
)
_POSITION = {"type": "string", "pattern": "^(|(.*:)?[0-9]{1,18})$"}
_SECURITY: list[dict[str, list[str]]] = [{"bearerAuth": []}, {"cookieAuth": []}, {"ticketAuth": []}]
_POSITIONS = (
    ("Last-Event-ID", "header", "Id of the last received event; overrides the query."),
    ("last_event_id", "query", "The same for clients that cannot send headers; `lastEventId` is a synonym."),
)
_RETRY_AFTER = {"description": "Seconds.", "schema": {"type": "integer"}}
_SCHEMES = {
    "bearerAuth": "A token, from `POST /auth/token`, `POST /me/tokens` or the page of your account.",
    "cookieAuth": "The login of a browser. Requests that change something also need the header `X-CSRFToken`.",
    "ticketAuth": "From `stream-tickets`; valid for one stream.",
}
_TICKET = {"type": "apiKey", "in": "query", "name": "ticket"}


def strip_optional_slashes(endpoints: list[Endpoint], **_: object) -> list[Endpoint]:
    """List each path once, without its optional trailing slash."""
    return [(path.replace("/?", "").rstrip("/") or "/", *rest) for path, *rest in endpoints]  # type: ignore[misc]


def add_stream(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add the streams, which are not Django views, and the default error response of all paths."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    schemes = {**components.get("securitySchemes", {}), "ticketAuth": _TICKET}
    components["securitySchemes"] = {name: {**schemes[name], "description": _SCHEMES[name]} for name in schemes}
    result["paths"][_STREAM_PATH] = {"get": _stream_operation()}
    result["paths"][_FEED_PATH] = {"get": _feed_operation()}
    result["paths"][_INBOX_PATH] = {"get": _inbox_operation()}
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
        "summary": "Follow an execution: stored events, then live events",
        "description": _STREAM,
        "tags": ["executions"],
        "security": _SECURITY,
        "parameters": [identity, *_query_parameters([*EventType, DELTA])],
        "responses": {
            **_responses(noun="execution", ending="ends after the last event of an ended execution"),
            "204": {"description": "There will be no more events."},
        },
    }


def _feed_operation() -> dict[str, Any]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("scope_type", "scope_id")
    ]
    return {
        "operationId": "scopes_stream",
        "summary": "Follow a scope: events of all its executions over one connection",
        "description": _FEED,
        "tags": ["scopes"],
        "security": _SECURITY,
        "parameters": [*named, *_query_parameters([*EventType])],
        "responses": _responses(noun="scope", ending="does not end"),
    }


def _inbox_operation() -> dict[str, Any]:
    responses = _responses(noun="inbox", ending="does not end")
    return {
        "operationId": "inbox_stream",
        "summary": "Follow the counts of your inbox",
        "description": _INBOX,
        "tags": ["inbox"],
        "security": _SECURITY[:2],
        "parameters": [],
        "responses": {status: each for status, each in responses.items() if status not in {"400", "404", "422"}},
    }


def _query_parameters(types: list[str]) -> list[dict[str, Any]]:
    wanted = {
        "name": "types",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "description": "Only these types; the stream of an execution still ends after `complete`.",
        "schema": {"type": "array", "items": {"type": "string", "enum": types}},
    }
    return [
        *(
            {"name": name, "in": place, "required": False, "description": description, "schema": _POSITION}
            for name, place, description in _POSITIONS
        ),
        wanted,
    ]


def _responses(*, noun: str, ending: str) -> dict[str, Any]:
    return {
        "200": {
            "description": f"Server-Sent Events; {ending}.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        "400": _problem("The position is not an id of this stream."),
        "401": _problem(
            "Authentication credentials were not provided, or the token or ticket is invalid, expired or revoked."
        ),
        "403": _problem("The token may not read."),
        "404": _problem(f"There is no such {noun}, or the caller may not read it."),
        "422": _problem("Unknown event types; see `errors`."),
        "429": {**_problem("The caller has too many open streams."), "headers": {"Retry-After": _RETRY_AFTER}},
        "503": _problem("The database is unavailable."),
    }
