"""Static files under ASGI."""

from __future__ import annotations

from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


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
        if (static_file := self.files.get(request.path_info)) is not None:
            return await sync_to_async(self.serve)(static_file, request)
        response: HttpResponseBase = await self.get_response(request)
        return response

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
