"""What the OpenAPI document says of many paths: errors, all in the shape of a problem, and common headers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from access.idempotency import HEADER, REPLAYED_HEADER

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
MEANINGS = {
    400: "The body is no JSON, or names a member of an object twice.",
    401: "Nobody said who asks.",
    402: "The scope has spent what it may spend this month.",
    403: "Your role does not allow it.",
    404: "There is no such thing, or none that you may see.",
    409: "Its present state does not allow it, or a request with this key is under way.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    415: "The body is of another type than JSON, in another charset than UTF-8, or compressed.",
    422: "A field or value that cannot be right; `errors` says which.",
}

#: A client's own name for one request, which then happens once.
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    OpenApiParameter.HEADER,
    description="A key of the caller's own, new for each request. For 24 hours the same request with it gets the first "
    "answer again, and does nothing more; only answers of success are kept. 409: the first one is under way.",
)
IDEMPOTENCY_REPLAYED = OpenApiParameter(
    REPLAYED_HEADER,
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    description="Present when this is the first answer to the key, told again.",
    response=[200, 201],
)


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the responses of these statuses."""
    return {
        (status, "application/problem+json"): OpenApiResponse(_PROBLEM, description=MEANINGS[status])
        for status in statuses
    }
