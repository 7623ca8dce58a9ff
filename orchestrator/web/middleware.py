"""What every request passes: it gets an id and its share of the database, and odd paths lead nowhere.

A body in a charset or a coding that we do not read is refused before anything decodes it.
"""

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
from orchestrator.problems import refusal, unsupported_body

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(given: str | None) -> str:
    """Return the client's own id when it is a sane one, else a new one."""
    return given if given and _SANE.fullmatch(given) else str(uuid7())


class AsyncMiddleware:
    """What all middleware of ours has in common: it runs on the event loop alone."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; each kind does its part before and after."""
        return await self.get_response(request)


class NamesMiddleware(AsyncMiddleware):
    """Finds nothing at a path with a NUL in it: no name has one, and PostgreSQL refuses to look for it."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request.

        Raises:
            Http404: its path has a NUL in it.
        """
        if "\0" in request.path:
            raise Http404
        return await self.get_response(request)


class DatabaseMiddleware(AsyncMiddleware):
    """Gives requests that only read the time limit of reads, and answers those that the database has no time for."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        with read_only_request() if request.method in SAFE_METHODS else nullcontext():
            return await self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view of a page has let through."""
        return refusal(request, exception)


class BodyMiddleware(AsyncMiddleware):
    """Refuses a body that is not in UTF-8, or that is compressed, with 415, on every path."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        has_body = request.META.get("CONTENT_LENGTH") not in {None, "", "0"}
        if has_body and not is_utf8(request.headers.get("Content-Type", "")):
            return unsupported_body(request, "Text is taken in UTF-8 alone; name no other charset in Content-Type.")
        if has_body and not has_no_content_coding(request.headers.get("Content-Encoding", "")):
            refused = unsupported_body(request, "A body is taken as it is; send it without Content-Encoding.")
            refused["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
            return refused
        return await self.get_response(request)


class RequestIdMiddleware(AsyncMiddleware):
    """Puts `request.request_id` on the way in and `X-Request-ID` on the way out."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, with its id bound to whatever is logged meanwhile."""
        identity = request_id(request.headers.get(HEADER))
        request.request_id = identity  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=identity):
            response = await self.get_response(request)
        response[HEADER] = identity
        return response
