"""How the OpenAPI document describes our tokens and entity tags."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="ETags that the client has, with commas between them; or `*`.",
)
#: What an operation answers whose answer has an entity tag.
NOT_MODIFIED: dict[Any, OpenApiResponse] = {304: OpenApiResponse(description="The client has the present one.")}


class TokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer <token>`."""

    target_class = "access.authentication.TokenAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the scheme (`Token` is understood in place of `Bearer` too)."""
        return {"type": "http", "scheme": "bearer"}
