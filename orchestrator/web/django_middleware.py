"""Django's middleware on the event loop.

Django's base class (`MiddlewareMixin`) gives each hook of an asynchronous request to a thread and back, because a hook
may wait for the database. These classes call the hooks on the event loop, and use a thread only where one waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptions
from django.middleware.common import CommonMiddleware as DjangoCommon
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf
from django.middleware.security import SecurityMiddleware as DjangoSecurity
from django.utils.deprecation import MiddlewareMixin
from rest_framework.permissions import SAFE_METHODS

View = Callable[..., Any]


class _OnLoop(MiddlewareMixin):
    """Calls the hooks of Django's middleware on the event loop."""

    sync_capable = False

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        before, after = getattr(self, "process_request", None), getattr(self, "process_response", None)
        answer = None if before is None else before(request)
        response: HttpResponseBase = answer or await self.get_response(request)  # type: ignore[misc]
        if after is None:
            return response
        final: HttpResponseBase = (
            await sync_to_async(after)(request, response) if self.waits(request) else after(request, response)
        )
        return final

    def waits(self, request: HttpRequest) -> bool:
        """Return whether `process_response` may wait for the database."""
        return False


class SecurityMiddleware(_OnLoop, DjangoSecurity):
    """Redirects to HTTPS, and headers."""


class CommonMiddleware(_OnLoop, DjangoCommon):
    """Redirects to addresses with a slash, and lengths of responses."""


class SessionMiddleware(_OnLoop, DjangoSessions):
    """Sessions, which views load. A changed one is stored in a thread."""

    def waits(self, request: HttpRequest) -> bool:
        """Return whether the session is stored."""
        return bool(request.session.modified)


class CsrfViewMiddleware(_OnLoop, DjangoCsrf):
    """Tokens of forms. A form is read in a thread, because it may be large."""

    async def process_view(  # type: ignore[override]  # Django awaits it
        self, request: HttpRequest, callback: View, *arguments: Any
    ) -> HttpResponseBase | None:
        """Return a refusal, or None."""
        check = super().process_view
        if request.method in SAFE_METHODS or getattr(callback, "csrf_exempt", False):
            return check(request, callback, *arguments)
        return await sync_to_async(check)(request, callback, *arguments)


class AuthenticationMiddleware(_OnLoop, DjangoAuthentication):
    """The user of a session, whom views load."""


class MessageMiddleware(_OnLoop, DjangoMessages):
    """Messages of the admin. Their storage may be the session."""

    def waits(self, request: HttpRequest) -> bool:
        """Return whether messages were read or added."""
        messages = request._messages  # type: ignore[attr-defined]  # noqa: SLF001 - as Django's middleware does
        return bool(messages.used or messages.added_new)


class XFrameOptionsMiddleware(_OnLoop, DjangoXFrameOptions):
    """The header X-Frame-Options."""
