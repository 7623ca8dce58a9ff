"""HTTP requests of the server: body limit, and flow control of responses."""

from __future__ import annotations

from daphne.http_protocol import HTTPFactory, WebRequest  # isort: skip  # does not import a reactor

import asyncio
import json
from http import HTTPStatus
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import RESPONSES
from uuid_utils.compat import uuid7
from zope.interface import implementer

from access.url_secrets import hide_invitation_token
from common.errors import TooLarge
from orchestrator.problems import CONTENT_TYPE, problem_of
from orchestrator.web.asgi_handler import max_body_bytes

SMALL_BYTES = 16_384  # larger parts, such as replayed logs, use the reactor's buffer
LINGER_SECONDS = 2.0  # for a client to read a response that was sent before the end of its request

for _status in HTTPStatus:  # Twisted's own list is incomplete
    RESPONSES.setdefault(_status.value, _status.phrase.encode())


@implementer(IPushProducer)
class FlowControl:
    """Back-pressure of a connection: paused while the client's buffer is full."""

    def __init__(self) -> None:
        self._resumed: asyncio.Event | None = None  # None while not paused: most connections never pause
        self._is_stopped = False

    async def wait_until_writable(self) -> None:
        """Wait until the connection accepts more data."""
        if self._resumed is not None:
            await self._resumed.wait()

    def pauseProducing(self) -> None:
        """Pause; Twisted calls this when its buffer is full."""
        if not self._is_stopped and self._resumed is None:
            self._resumed = asyncio.Event()

    def resumeProducing(self) -> None:
        """Resume; Twisted calls this when its buffer is empty."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def stopProducing(self) -> None:
        """Resume permanently: the connection is lost or closing, so writers must not wait."""
        self._is_stopped = True
        self.resumeProducing()


class ReceiveQueue:
    """ASGI messages of one request for one reader. Uses less memory than an `asyncio.Queue` (3 KB)."""

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._arrived: asyncio.Future[None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def get(self) -> dict[str, Any]:
        """Wait for the next message, and remove it."""
        while not self._messages:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._messages.pop(0)


class BoundedRequest(WebRequest):
    """A request with a body limit. WebSockets are not supported."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.flow_control = FlowControl()
        self._received = 0
        self._is_rejected = False
        # Django parses forms. Twisted would do it too, for a large file for seconds, while all other requests wait.
        super().__init__(*arguments, parsePOSTFormSubmission=False, **options)

    def __repr__(self) -> str:
        """Return a text for logs, without the query and the token of an invitation, which are secrets."""
        return f"<{self.method.decode('latin-1')} {hide_invitation_token(self.path.decode('latin-1'))}>"

    def gotLength(self, length: int | None) -> None:
        """Reject a body whose announced length exceeds the limit."""
        super().gotLength(length)
        if length is not None and length > self._max_body_bytes():
            self._reject()

    def handleContentChunk(self, data: bytes) -> None:
        """Store a part of the body up to the limit, and discard the rest."""
        self._received += len(data)
        if self._received <= self._max_body_bytes():
            super().handleContentChunk(data)
        elif not self._is_rejected:
            self._reject()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Pass the request to the application, unless it was rejected."""
        if self._is_rejected:
            self.channel.loseConnection()
        else:
            self.requestHeaders.removeHeader(b"Upgrade")
            super().requestReceived(command, path, version)

    def send_now(self, part: bytes) -> bool:
        """Write a small part of the response to the socket immediately; return False if it must be buffered.

        This saves most of the cost of an event: otherwise the reactor registers the socket, waits until it is writable,
        and unregisters it again.
        """
        if not self.chunked or self.finished or self._disconnected or not 0 < len(part) <= SMALL_BYTES:
            return False
        transport = self.channel.transport
        if transport.dataBuffer or transport._tempDataBuffer or not transport.connected:  # noqa: SLF001 - there is no public way
            return False
        chunk = b"%x\r\n%b\r\n" % (len(part), part)
        sent = transport.writeSomeData(chunk)
        if not isinstance(sent, int):
            return False  # the connection is lost, which the reactor will detect
        if sent < len(chunk):
            transport.write(chunk[sent:])
        return True

    def enable_flow_control(self) -> None:
        """Register flow control with the connection."""
        if self.finished or self.channel is None or self.producer:
            return
        self.registerProducer(self.flow_control, True)
        if self.channel._waitingForTransport:  # full because of an earlier response  # noqa: SLF001 - there is no public way
            self.flow_control.pauseProducing()

    def close_after_answer(self) -> None:
        """Close the connection after this response, without waiting for a slow client."""
        self.flow_control.stopProducing()
        if not self.finished and self.channel is not None:
            self.channel.persistent = False

    def finish(self) -> None:
        """End the response."""
        if self.producer:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        """Unblock the application, whose response has no reader any more."""
        self.flow_control.stopProducing()
        super().connectionLost(reason)

    def _max_body_bytes(self) -> int:
        """Return the limit on the body of this request."""
        method, path = self.channel._command, self.channel._path.partition(b"?")[0]  # noqa: SLF001 - there is no public way
        return max_body_bytes(method.decode("latin-1"), path.decode("latin-1"), usual=self.server.max_body_bytes)

    def _reject(self) -> None:
        """Send 413 immediately, then keep reading briefly: closing while the client sends would lose the response."""
        self._is_rejected = True
        request_id = str(uuid7())
        path = self.channel._path.partition(b"?")[0].decode("latin-1")  # noqa: SLF001 - there is no public way
        body = json.dumps(problem_of(TooLarge()).body(instance=path, request_id=request_id)).encode()
        head = (
            f"HTTP/1.1 413 Content Too Large\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        transport = self.channel.transport
        transport.write(head.encode() + body)
        transport.loseWriteConnection()
        reactor.callLater(LINGER_SECONDS, transport.abortConnection)


class RequestFactory(HTTPFactory):
    """Creates protocols with `BoundedRequest`."""

    def buildProtocol(self, addr: Any) -> Any:
        """Return the protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol

    def log(self, _request: BoundedRequest) -> None:
        """Do nothing: the server writes the access log, because Twisted's log contains queries."""
