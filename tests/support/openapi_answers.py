"""Validates responses against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs
from django.test import Client, override_settings

Schema = dict[str, Any]


@cache
def _document() -> Schema:
    with override_settings(ROOT_URLCONF="orchestrator.urls"):  # some tests have addresses of their own
        found: Schema = Client().get("/api/v1/openapi.json").json()
    return found


@cache
def _components() -> Any:
    return _strict(_document()["components"])


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    # OpenAPI: a path without parameters goes before one that has them.
    paths = sorted(_document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]


def _strict(schema: Any) -> Any:
    """Return a schema in which an object has no other fields than those that are named."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {name: _strict(inner) for name, inner in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict


@cache
def _validator(path: str, method: str, status: str, content_type: str) -> jsonschema_rs.Validator | None:
    """Return what such an answer is valid by; None: it has no body that is JSON.

    Raises:
        LookupError: there is no such answer.
    """
    answers = _document()["paths"][path][method]["responses"]
    content = answers[status if status in answers else "default"].get("content", {})
    if not content_type:
        return None
    schema = _strict(content[content_type].get("schema", {}))
    whole = {**schema, "components": _components()}
    return jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **whole})


def _path(asked: str) -> str | None:
    """Return the path of the document that an address belongs to; None: it has none."""
    return next((path for pattern, path in _paths() if pattern.fullmatch(asked.rstrip("/"))), None)


def check(response: Any) -> None:
    """See that an answer is one that the document promises.

    Raises:
        AssertionError: it is another one.
    """
    asked, method = response.request["PATH_INFO"], response.request["REQUEST_METHOD"].lower()
    path = _path(asked)
    if path is None or method not in _document()["paths"][path] or response.streaming:
        return
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    try:
        validator = _validator(path, method, str(response.status_code), kind)
    except LookupError as error:
        raise AssertionError(f"{method} {path} does not promise {response.status_code} {kind}") from error
    if validator is not None and kind.endswith("json"):
        faults = [
            f"/{'/'.join(map(str, each.instance_path))}: {each.message}"
            for each in validator.iter_errors(response.json())
        ]
        assert not faults, f"{method} {asked} {response.status_code}: {faults[:5]}"
