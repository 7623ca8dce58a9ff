"""Parts of the OpenAPI document that many paths share: problem responses and common headers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from access.openapi import RUNS_ONCE as RUNS_ONCE
from access.openapi import problem_responses

MEANINGS = {
    400: "The body is not JSON, or an object in it repeats a name.",
    401: "Authentication credentials were not provided.",
    402: "The scope has used up its budget for this month.",
    403: "Your role does not permit this, or your token lacks the right.",
    404: "The object does not exist, or you may not see it.",
    409: "The current state does not permit this, or a request with the same idempotency key is in progress.",
    410: "The object existed, and can no longer be used.",
    412: "The object was changed since you read it.",
    413: "The body is too large.",
    415: "The body is of another type, not in UTF-8, or compressed.",
    428: "The request needs `If-Match` with the version that you read.",
    422: "A field or value is not valid; `errors` says which.",
    503: "The server is busy; see `Retry-After`.",
}


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the OpenAPI responses for these statuses."""
    return problem_responses({status: MEANINGS[status] for status in statuses})
