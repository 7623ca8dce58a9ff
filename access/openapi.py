"""OpenAPI extensions: tokens, entity tags and strict serializers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="ETags that the client has, separated by commas; or `*`.",
)
#: Response of operations whose responses have an entity tag.
NOT_MODIFIED: dict[Any, OpenApiResponse] = {304: OpenApiResponse(description="The client has the current version.")}


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
