"""Middleware of all requests: request id, statement timeout of reads, rejected encodings, and headers of responses."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from io import BytesIO
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import DisallowedHost
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.security import SecurityMiddleware
from rest_framework.permissions import SAFE_METHODS
from uuid_utils.compat import uuid7

from access.url_secrets import restore_ticket
from common.api.parsers import Utf8Request, has_no_content_coding, is_utf8
from common.database.connections import read_only_request
from common.present_request import serving
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
    """Sets `request.request_id` and the header `X-Request-ID` of the response, and names the request to the audit."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, with its id in all log lines. It is the origin of the acts in the audit log."""
        identity = request_id(request.headers.get(HEADER))
        request.request_id = identity  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=identity), serving(request):
            response = await self.get_response(request)
        response[HEADER] = identity
        return response


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_FRAMES_AND_FORMS = "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
#: Content-Security-Policy by path prefix; the first match applies. No policy permits other origins.
POLICIES = (
    # Swagger UI uses style attributes, and icons as data URLs.
    (
        "/api/v1/docs",
        f"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; {_FRAMES_AND_FORMS}",
    ),
    ("/api/", "default-src 'none'; frame-ancestors 'none'"),
    # Unfold uses inline scripts and styles, and Alpine evaluates text as code.
    (
        "/admin/",
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self' data:; {_FRAMES_AND_FORMS}",
    ),
    ("/", f"default-src 'self'; manifest-src 'self'; {_FRAMES_AND_FORMS}"),
)


def policy_of(path: str) -> str:
    """Return the Content-Security-Policy of a path."""
    return next((policy for prefix, policy in POLICIES if path.startswith(prefix)), POLICIES[-1][1])


class HeadersMiddleware(AsyncMiddleware):
    """Sets the policy of each path, and prevents caching of user data."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request. A Cache-Control header of the view is kept.

        A response with an ETag may be stored by the browser, which must revalidate it.
        """
        response = await self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_of(request.path))
        if request.path.startswith("/api/v1/auth/"):
            response["Cache-Control"] = "no-store"
        response.headers.setdefault("Cache-Control", "private, no-cache" if "ETag" in response else "no-store")
        return response


class SecuredStreams:
    """Applies Django's security middleware to streams, which bypass Django's middleware."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._security = SecurityMiddleware(lambda _: HttpResponse())
        self._headers: dict[bool, Headers] = {}  # by `is_secure`; shared by all streams

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or redirect it to HTTPS."""
        location, headers = self._security_of(scope)

        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _add_missing(message.get("headers", ()), headers)}
            await send(message)

        if location is None:
            await self._app(scope, receive, send_with_headers)
            return
        redirect_headers = [
            (b"location", location.encode("latin-1")),
            (b"content-length", b"0"),
            (b"cache-control", b"no-store"),
        ]
        await send_with_headers({"type": "http.response.start", "status": 301, "headers": redirect_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _security_of(self, scope: dict[str, Any]) -> tuple[str | None, Headers]:
        """Return the location of a redirect, or None, and the security headers."""
        # The request is not stored, because a stream may last for hours.
        request = Utf8Request({**scope, "query_string": restore_ticket(scope)}, BytesIO())
        is_secure = request.is_secure()
        if is_secure not in self._headers:
            answer = HttpResponse(headers={"Content-Security-Policy": policy_of("/api/"), "X-Frame-Options": "DENY"})
            del answer["Content-Type"]
            self._security.process_response(request, answer)
            pairs = ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.items())
            self._headers[is_secure] = tuple(pairs)
        try:
            redirect = self._security.process_request(request)
        except DisallowedHost:
            redirect = None  # the stream itself rejects it
        return (None if redirect is None else redirect["Location"]), self._headers[is_secure]


def _add_missing(given: Iterable[tuple[bytes, bytes]], more: Headers) -> list[tuple[bytes, bytes]]:
    """Add the headers that are missing."""
    headers = list(given)
    names = {name.lower() for name, _ in headers}
    return headers + [(name, value) for name, value in more if name not in names]
