"""Middleware of all requests: request id, statement timeout of reads, and rejection of NUL and of unknown encodings."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.permissions import SAFE_METHODS
from uuid_utils.compat import uuid7

from common.api.requests import has_no_content_coding, is_utf8
from common.database.usage import read_only_request
from orchestrator.problems import retry_later_response_for, unsupported_body

HEADER = "X-Request-ID"
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(given: str | None) -> str:
    """Return the client's id if it is valid, else a new id."""
    return given if given and _VALID_ID.fullmatch(given) else str(uuid7())


class AsyncMiddleware:
    """Base class of middleware that runs only on the event loop."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; subclasses add work before and after."""
        return await self.get_response(request)


class NulPathMiddleware(AsyncMiddleware):
    """Responds with 404 to paths that contain NUL, which PostgreSQL rejects."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request.

        Raises:
            Http404: the path contains NUL.
        """
        if "\0" in request.path:
            raise Http404
        return await self.get_response(request)


class DatabaseMiddleware(AsyncMiddleware):
    """Applies the statement timeout to read-only requests, and converts database outages to responses."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        with read_only_request() if request.method in SAFE_METHODS else nullcontext():
            return await self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Convert an exception of an HTML view to a response."""
        return retry_later_response_for(request, exception)


class BodyEncodingMiddleware(AsyncMiddleware):
    """Rejects bodies that are compressed or not in UTF-8, with 415."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        has_body = request.META.get("CONTENT_LENGTH") not in {None, "", "0"}
        if has_body and not is_utf8(request.headers.get("Content-Type", "")):
            return unsupported_body(request, "Only UTF-8 is supported; Content-Type must not name another charset.")
        if has_body and not has_no_content_coding(request.headers.get("Content-Encoding", "")):
            refused = unsupported_body(
                request, "Compressed bodies are not supported; send the body without Content-Encoding."
            )
            refused["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
            return refused
        return await self.get_response(request)


class RequestIdMiddleware(AsyncMiddleware):
    """Sets `request.request_id` and the header `X-Request-ID` of the response."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, with its id in all log lines."""
        identity = request_id(request.headers.get(HEADER))
        request.request_id = identity  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=identity):
            response = await self.get_response(request)
        response[HEADER] = identity
        return response
