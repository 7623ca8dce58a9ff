"""Middleware of Django and of WhiteNoise on the event loop.

Django's base class (`MiddlewareMixin`) gives each hook of an asynchronous request to a thread and back, because a hook
may wait for the database; WhiteNoise is synchronous. These classes use a thread only where something waits. The
settings name Django's own classes, which Django's checks look for; `asgi_handler` loads those of the same name here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessions
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptions
from django.middleware.common import CommonMiddleware as DjangoCommon
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf
from django.middleware.security import SecurityMiddleware as DjangoSecurity
from django.utils.deprecation import MiddlewareMixin
from rest_framework.permissions import SAFE_METHODS
from whitenoise.middleware import WhiteNoiseMiddleware

from common.database.connections import giving_back

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
        if self.waits(request):
            return await sync_to_async(giving_back(after))(request, response)
        final: HttpResponseBase = after(request, response)
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


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise with whole files in responses: they are small, and Django needs a thread to stream a file.

    The files are searched once per process, for all instances. A thread reads a file; all other requests stay on the
    event loop.
    """

    sync_capable = False
    async_capable = True
    _found: ClassVar[dict[str, Any]] = {}

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request: with a file, or as the next middleware does."""
        if request.path_info.startswith(self.static_prefix):
            file = await sync_to_async(self._file)(request)
            if file is not None:
                return file
        response: HttpResponseBase = await self.get_response(request)
        return response

    def _file(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response with a file; None: there is none."""
        find = self.find_file if self.autorefresh else self.files.get
        found = find(request.path_info)
        return None if found is None else self.serve(found, request)

    def add_files_from_finders(self) -> None:
        """Add the files of all apps, which do not change while a process runs."""
        if not self._found:
            super().add_files_from_finders()
            self._found.update(self.files)
        self.files.update(self._found)

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Return the file, with conditional headers and ranges applied."""
        response = static_file.get_response(request.method, request.META)
        body = b""
        if response.file is not None:
            with response.file as file:
                body = file.read()
        answer = HttpResponse(body, status=int(response.status))
        del answer["Content-Type"]
        for name, value in response.headers:
            answer[name] = value
        return answer
