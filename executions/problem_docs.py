"""Errors in the OpenAPI document: which statuses a path may answer with, all in the shape of a problem."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_MEANING = {
    400: "The body is no JSON, or names a member of an object twice.",
    401: "Nobody said who asks.",
    402: "The scope has spent what it may spend this month.",
    403: "Your role does not allow it.",
    404: "There is no such thing, or none that you may see.",
    409: "Its present state does not allow it.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    415: "The body is of another type than JSON, in another charset than UTF-8, or compressed.",
    422: "A field or value that cannot be right; `errors` says which.",
}


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the responses of these statuses."""
    return {
        (status, "application/problem+json"): OpenApiResponse(_PROBLEM, description=_MEANING[status])
        for status in statuses
    }
