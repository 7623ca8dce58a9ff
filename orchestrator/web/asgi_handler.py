"""Django's ASGI handler, with a limit on request bodies and with their length known before a view reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http.response import HttpResponseBase

from common.api.requests import Utf8Request
from common.limits import limits
from orchestrator.problems import CONTENT_TYPE, TooLarge, problem_body
from orchestrator.web.middleware import HEADER, request_id

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LENGTH = b"content-length"


class BodyTooLarge(Exception):
    """A request body is above the limit."""


class Handler(ASGIHandler):
    """Refuses a body above the limit with 413 before it is stored; tells Django the length of any other body.

    With `Transfer-Encoding: chunked` a client announces no length. Django REST framework and Django's parser of
    multipart forms then take the body for empty.
    """

    request_class = Utf8Request

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> HttpResponseBase | None:
        """Answer one request."""
        try:
            return await super().handle(scope, _limited(scope, receive), send)
        except BodyTooLarge:
            await _refuse(scope, send)
            return None

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request with the length that its body has."""
        size = body_file.seek(0, os.SEEK_END)
        body_file.seek(0)
        headers = [pair for pair in scope["headers"] if pair[0] != _LENGTH]
        headers.append((_LENGTH, str(size).encode()))
        return super().create_request({**scope, "headers": headers}, body_file)


def _limited(scope: dict[str, Any], receive: Receive) -> Receive:
    """Return what receives the request's messages, up to the limit of a body.

    Its calls raise:
        BodyTooLarge: the body is announced as too large, or has become so.
    """
    most, received = limits().request_bytes, 0
    announced = next((value for name, value in scope["headers"] if name == _LENGTH), b"0")

    async def receive_limited() -> Message:
        nonlocal received
        if _is_above(announced, most):
            raise BodyTooLarge
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise BodyTooLarge
        return message

    return receive_limited


def _is_above(length: bytes, most: int) -> bool:
    """Return whether a length in digits is above the limit; the number may be of any size."""
    digits = length.strip().lstrip(b"0")
    return digits.isdigit() and (len(digits) > len(str(most)) or int(digits) > most)


async def _refuse(scope: dict[str, Any], send: Send) -> None:
    """Answer 413."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER.lower().encode()), None)
    identity = request_id(given)
    problem = problem_body(
        status=TooLarge.status_code,
        code=TooLarge.default_code,
        detail=TooLarge.default_detail,
        instance=scope["path"],
        request_id=identity,
    )
    body = json.dumps(problem).encode()
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body)), HEADER: identity}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(TooLarge.status_code), "headers": encoded})
    await send({"type": "http.response.body", "body": body})
