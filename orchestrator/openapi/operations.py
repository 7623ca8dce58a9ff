"""Summaries, descriptions and examples of operations in the OpenAPI document.

`operations.json` has them by operation id. A description starts with the docstring of the view.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from executions.api.openapi import MEANINGS

Json = dict[str, Any]

_SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"
_ETAG = '(W/)?"[^"]*"'
#: Parameters of paths and headers by name: description, and additions to the schema.
_PARAMETERS: dict[str, tuple[str, Json]] = {
    "execution_id": ("Id of an execution.", {}),
    "file_id": ("Id of a file.", {}),
    "call_id": ("Id of a call to a model.", {}),
    "entry_id": ("Id of an entry of the inbox.", {}),
    "step_id": ("Id of a step; `step@key` for one item.", {"pattern": r"^[a-z0-9-]+(@[a-z0-9.-]+)?$"}),
    "workflow_id": ("Slug of a published workflow.", {"pattern": _SLUG, "maxLength": 63}),
    "scope_type": ("Type of the scope, such as `project`.", {"pattern": _SLUG, "maxLength": 63}),
    "scope_id": ("Key of the root scope.", {"minLength": 1, "maxLength": 200}),
    "username": ("Name of a user.", {"minLength": 1, "maxLength": 150, "pattern": "^[^/]+$"}),
    "invitation_id": ("Id of an invitation.", {}),
    "number": ("Number of a version, from 1.", {"minimum": 1, "maximum": 999_999_999}),
    "step": ("Id of a step of the workflow.", {"pattern": _SLUG, "maxLength": 63}),
    "If-Match": (
        "ETag of the execution as it was read: if it has changed since, the write fails with 412.",
        {"pattern": rf"^(\*|{_ETAG}(\s*,\s*{_ETAG})*)$"},
    ),
}
_MATCH_FORM = _PARAMETERS["If-Match"][1]
_DOCUMENT: dict[str, tuple[str, Json]] = {
    "id": ("Id of a document.", {}),
    "If-Match": (
        "ETag of the document as you read it, or `*`. Without it the answer is 428, with an old one 412.",
        _MATCH_FORM,
    ),
}
#: The first match applies.
_PARAMETERS_BY_PATH: dict[str, dict[str, tuple[str, Json]]] = {
    "/api/v1/documents/{id}/comments/": {
        **_DOCUMENT,
        "number": ("Number of a comment, from 1.", {"minimum": 1, "maximum": 999_999_999}),
        "If-Match": (
            "Version of the comment in double quotes, or `*`. With an old one: 412.",
            _MATCH_FORM,
        ),
    },
    "/api/v1/documents/": _DOCUMENT,
    "/api/v1/scopes/": {
        "If-Match": ("Version of the budget in double quotes, or `*`. With an old one: 412.", _MATCH_FORM)
    },
    "/api/v1/workflows/": {"id": _PARAMETERS["workflow_id"]},
}
_PROBLEM_EXAMPLE: Json = {
    "type": "urn:scriptorium:problem:not-found",
    "title": "Not Found",
    "status": 404,
    "detail": "There is no such execution.",
    "instance": "/api/v1/executions/01a227e9-52c0-74a6-b1f4-e53f30d81941",
    "code": "not-found",
    "errors": [],
    "error_count": 0,
    "request_id": "01a227e9-5c04-7119-93ac-348828f43650",
}

#: What a response that is no JSON begins with.
_FILES = {
    "text/markdown": "# Lending tools",
    "text/csv": "id,at,act",
    "text/html": '<!doctype html><html lang="en">',
    "application/pdf": "%PDF-1.7",
    "application/zip": "PK",
    "application/yaml": "id: note",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "PK",
}


@cache
def _table() -> dict[str, Json]:
    table: dict[str, Json] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return table


def describe_operations(result: Json, **_: object) -> Json:
    """Add summaries, descriptions, examples and error responses to all operations."""
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _describe(operation, _table().get(operation["operationId"], {}))
            for parameter in operation.get("parameters", []):
                _describe_parameter(parameter, path)
            _add_error_responses(operation)
    return result


def _describe(operation: Json, entry: Json) -> None:
    if "summary" in entry:
        operation["summary"] = entry["summary"]
        operation["description"] = f"{operation.get('description', '')} {entry['more']}".strip()
    if "request" in entry:
        _add_example(operation["requestBody"]["content"], entry["request"])
    for status, response in operation["responses"].items():
        if status.startswith("2") and "response" in entry:
            _add_example(response.get("content", {}), entry["response"], csv=entry.get("csv"))
    _add_example(operation["responses"]["default"]["content"], _PROBLEM_EXAMPLE)


def _add_example(content: Json, value: object, *, csv: str | None = None) -> None:
    files = _FILES if csv is None else {**_FILES, "text/csv": csv}
    for media_type, media in content.items():
        if media_type in files:
            media["examples"] = {"Example": {"value": files[media_type]}}
        else:
            media.setdefault("examples", {}).setdefault("Example", {"value": value})


def _describe_parameter(parameter: Json, path: str) -> None:
    special = next((named for start, named in _PARAMETERS_BY_PATH.items() if path.startswith(start)), {})
    description, schema = {**_PARAMETERS, **special}.get(parameter["name"], ("", {}))
    if parameter["in"] != "query" and description:
        parameter["description"] = description
        parameter["schema"] = {**parameter["schema"], **schema}


def _add_error_responses(operation: Json) -> None:
    places = {each["in"] for each in operation.get("parameters", [])}
    has_body = "requestBody" in operation
    with_token = {"bearerAuth": []} in operation.get("security", [])
    expected = {401: True, 403: with_token, 404: "path" in places, 422: True}
    expected |= dict.fromkeys((400, 413, 415), has_body)
    for status, may_be in expected.items():
        if may_be:
            content = operation["responses"]["default"]["content"]
            operation["responses"].setdefault(str(status), {"description": MEANINGS[status], "content": content})
