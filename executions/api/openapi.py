"""Parts of the OpenAPI document that many paths share: problem responses and common headers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from access.idempotency import HEADER, REPLAYED_HEADER

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
MEANINGS = {
    400: "The body is not JSON, or an object in it repeats a name.",
    401: "Authentication credentials were not provided.",
    402: "The scope has used up its budget for this month.",
    403: "Your role does not permit this, or your token lacks the right.",
    404: "The object does not exist, or you may not see it.",
    409: "The current state does not permit this, or a request with the same idempotency key is in progress.",
    412: "The object was changed since you read it.",
    413: "The body is too large.",
    415: "The body is of another type, not in UTF-8, or compressed.",
    428: "The request needs `If-Match` with the version that you read.",
    422: "A field or value is not valid; `errors` says which.",
    503: "The server is busy; see `Retry-After`.",
}

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


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the OpenAPI responses for these statuses."""
    return {
        (status, "application/problem+json"): OpenApiResponse(_PROBLEM, description=MEANINGS[status])
        for status in statuses
    }
