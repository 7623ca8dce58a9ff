"""Django's ASGI handler with a limit on request bodies, and with their actual length as Content-Length."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from typing import IO, Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from common.api.parsers import Utf8Request
from common.database.connections import (
    give_back,
    giving_back,
    has_given_back,
    marked_as_given_back,
    serve_request,
)
from common.errors import TooLarge
from common.limits import limits
from orchestrator.problems import CONTENT_TYPE, problem_of
from orchestrator.web.middleware import HEADER, request_id

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LENGTH = b"content-length"
_DJANGO = re.compile(r"^django\..*\.")  # before the name of a class of middleware
_ON_LOOP = "orchestrator.web.library_middleware."  # these import models, so that Django loads them when it is set up


class Handler(ASGIHandler):
    """Rejects a body above the limit with 413 before it is stored, and sets Content-Length for all other bodies.

    `Transfer-Encoding: chunked` has no Content-Length. Django REST framework and Django's multipart parser then treat
    the body as empty.
    """

    request_class = Utf8Request

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the middleware of the settings; that of Django by its classes for the event loop."""
        names = settings.MIDDLEWARE
        settings.MIDDLEWARE = [_DJANGO.sub(_ON_LOOP, name) for name in names]
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = names

    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Let a view of pages complete its response in its thread, which then gives its connection back.

        Django calls this for each request. Views of the API do so themselves.
        """
        made: Callable[..., Any] = super().make_view_atomic(view)
        return made if iscoroutinefunction(made) else giving_back(_completed(made))

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, as Django's handler does, without a thread before and after that of the view."""
        limited = _limited(scope, receive)
        try:
            body = await self.read_body(limited)
        except RequestAborted:
            return
        except TooLarge as error:
            await _refuse(scope, send, error)
            return
        serve_request()
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refusal = self.create_request(scope, body)
            if request is None:
                if refusal is not None:
                    await self.send_response(refusal, send)
                return
            await self._answer(request, limited, send)

    async def _answer(self, request: ASGIRequest, receive: Receive, send: Send) -> None:
        """Send the response. The view is cancelled when the client disconnects."""
        answering = asyncio.create_task(self._respond(request, send))
        listening = asyncio.create_task(self.listen_for_disconnect(receive))
        await asyncio.wait((answering, listening), return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, answering):
            task.cancel()
        await asyncio.wait((answering, listening))
        if not listening.cancelled() and not isinstance(error := listening.exception(), RequestAborted | None):
            raise error  # a message after the body
        if answering.cancelled():
            await _in_its_thread(give_back)
        elif has_given_back(response := answering.result()):
            response.close()
        else:
            await _in_its_thread(response.close)

    async def _respond(self, request: ASGIRequest, send: Send) -> HttpResponseBase:
        response = await self.run_get_response(request)
        with suppress(asyncio.CancelledError):  # the client has disconnected while it was sent
            await self.send_response(response, send)
        return response

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request with the actual length of its body."""
        size = body_file.seek(0, os.SEEK_END)
        body_file.seek(0)
        headers = [pair for pair in scope["headers"] if pair[0] != _LENGTH]
        headers.append((_LENGTH, str(size).encode()))
        return super().create_request({**scope, "headers": headers}, body_file)


def _completed(view: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
    def answer(*arguments: Any, **options: Any) -> HttpResponseBase:
        response = view(*arguments, **options)
        completed: HttpResponseBase = response.render() if hasattr(response, "render") else response
        return marked_as_given_back(completed)

    return answer


async def _in_its_thread(function: Callable[[], object]) -> None:
    """Call a function in the thread of the request, after what runs there.

    The server may cancel the request meanwhile. That does not take the function out of the thread's queue: the
    connection to the database would be lost.
    """
    await asyncio.shield(asyncio.ensure_future(sync_to_async(function)()))


def _limited(scope: dict[str, Any], receive: Receive) -> Receive:
    """Wrap `receive` with a limit on the body.

    The returned function raises TooLarge if the announced or the received length exceeds the limit.
    """
    method, path, usual, received = scope["method"], scope["path"], limits().request_bytes, 0
    maximum = max_body_bytes(method, path, usual=usual)
    announced = next((value for name, value in scope["headers"] if name == _LENGTH), b"0")

    async def receive_limited() -> Message:
        nonlocal received
        if _is_above(announced, maximum):
            raise too_large(method, path, usual=usual)
        message = await receive()
        received += len(message.get("body", b""))
        if received > maximum:
            raise too_large(method, path, usual=usual)
        return message

    return receive_limited


def _is_above(length: bytes, maximum: int) -> bool:
    """Return whether a decimal length of any size is above the limit."""
    digits = length.strip().lstrip(b"0")
    return digits.isdigit() and (len(digits) > len(str(maximum)) or int(digits) > maximum)


async def _refuse(scope: dict[str, Any], send: Send, error: TooLarge) -> None:
    """Send 413."""
    client_id = next(
        (value.decode("latin-1") for name, value in scope["headers"] if name == HEADER.lower().encode()), None
    )
    identity = request_id(client_id)
    problem = problem_of(error)
    body = json.dumps(problem.body(instance=scope["path"], request_id=identity)).encode()
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body)), HEADER: identity}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


_UPLOADS = "/api/v1/files"
_FORM_BYTES = 16 * 1024  # around the file in the body of an upload


def max_body_bytes(method: str, path: str, *, usual: int) -> int:
    """Return the limit on a body in bytes.

    Args:
        method: The request's method.
        path: Its path, without a query.
        usual: The limit on bodies that are no upload.
    """
    return max(usual, limits().file_bytes + _FORM_BYTES) if _is_upload(method, path) else usual


def too_large(method: str, path: str, *, usual: int) -> TooLarge:
    """Return the error that names the limit on a body; the arguments are those of `max_body_bytes`."""
    if _is_upload(method, path):
        return TooLarge(f"The request body is too large: a file may have at most {limits().file_bytes:,} bytes.")
    return TooLarge(f"The request body is too large: it may have at most {usual:,} bytes.")


def _is_upload(method: str, path: str) -> bool:
    return method == "POST" and path.rstrip("/") == _UPLOADS
