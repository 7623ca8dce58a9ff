"""OpenAPI extensions: tokens, entity tags and strict serializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from access.idempotency import HEADER, REPLAYED_HEADER

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="ETags that the client has, separated by commas; or `*`.",
)
#: Response of operations whose responses have an entity tag.
NOT_MODIFIED: dict[Any, OpenApiResponse] = {304: OpenApiResponse(description="The client has the current version.")}

#: A key that the client chooses per request. The server executes requests with the same key once.
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    OpenApiParameter.HEADER,
    description="A key chosen by the client, new for each request. For 24 hours, the same request with the same key "
    "returns the first response again and does nothing else. Only successful responses are stored. 409: the first "
    "request is still in progress.",
)
IDEMPOTENCY_REPLAYED = OpenApiParameter(
    REPLAYED_HEADER,
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    description="Present if this is the stored first response for the key.",
    response=[200, 201],
)
#: Parameters of an operation that runs once per key, by `access.idempotency.run_once`.
RUNS_ONCE = [IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED]


def problem_responses(meanings: Mapping[int, str]) -> dict[Any, OpenApiResponse]:
    """Return the OpenAPI responses for statuses with these meanings."""
    return {
        (status, "application/problem+json"): OpenApiResponse(_PROBLEM, description=meaning)
        for status, meaning in meanings.items()
    }


class TokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer <token>`."""

    target_class = "access.authentication.TokenAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the scheme (the server accepts `Token` in place of `Bearer` too)."""
        return {"type": "http", "scheme": "bearer"}


class StrictBody(OpenApiSerializerExtension):
    """Strict serializers reject unknown fields."""

    target_class = "common.api.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the serializer's schema, which forbids additional properties."""
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001
        if schema.get("type") != "object":
            return schema
        for name, field in self.target.fields.items():
            _forbid_blank(schema["properties"][name], field)
        return {**schema, "additionalProperties": False}


def _forbid_blank(schema: dict[str, Any], field: serializers.Field[Any, Any, Any, Any]) -> None:
    """Forbid empty text in a schema, and also white space if the field trims it."""
    if isinstance(field, serializers.ListField):
        _forbid_blank(schema["items"], field.child)
    elif isinstance(field, serializers.CharField) and not field.allow_blank and schema.get("type") == "string":
        schema.setdefault("minLength", max(1, field.min_length or 1))
        if field.trim_whitespace:
            schema.setdefault("pattern", r"\S")
