"""How the OpenAPI document describes our tokens and our strict forms."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension


class TokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer <token>`."""

    target_class = "access.authentication.TokenAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the scheme (`Token` is understood in place of `Bearer` too)."""
        return {"type": "http", "scheme": "bearer"}


class StrictBody(OpenApiSerializerExtension):
    """A strict form refuses fields that it does not name."""

    target_class = "access.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the schema of the form, without room for other fields."""
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001
        return {**schema, "additionalProperties": False} if schema.get("type") == "object" else schema
