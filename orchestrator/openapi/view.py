"""Endpoint of the OpenAPI document: generated once per process, with an ETag."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2

from orchestrator.problems import Problem, django_problem

_METHODS = ("GET", "HEAD")
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class OpenApiDocument:
    """The serialized document and its ETag."""

    body: bytes
    etag: str


@lru_cache(maxsize=1)
def openapi_document() -> OpenApiDocument:
    """Generate the document, which does not depend on a request."""
    schema = SchemaGenerator(urlconf="orchestrator.urls").get_schema(request=None, public=True)
    body: bytes = OpenApiJsonRenderer2().render(schema)
    return OpenApiDocument(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _locked_document() -> OpenApiDocument:
    """Return the document; concurrent callers wait for the first one to generate it."""
    with _lock:
        return openapi_document()


async def openapi(request: HttpRequest) -> HttpResponseBase:
    """Return the document, or 304 to a client that has it."""
    if request.method not in _METHODS:
        detail = f"This path supports only {' and '.join(_METHODS)}."
        refused = django_problem(request, Problem(status=405, code="method-not-allowed", detail=detail))
        refused.headers["Allow"] = ", ".join(_METHODS)
        return refused
    document = await sync_to_async(_locked_document, thread_sensitive=False)()
    headers = {"ETag": document.etag, "Cache-Control": "no-cache"}
    response = HttpResponse(document.body, content_type="application/json", headers=headers)
    answer = get_conditional_response(request, etag=document.etag, response=response)
    return response if answer is None else answer
